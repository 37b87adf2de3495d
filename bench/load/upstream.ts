import { createServer, type Socket } from 'node:net'

/**
 * A model's server on bare TCP, so that it sees the very instant at which a caller goes: each chat completion streams a
 * word every 50 ms without end.
 */
export interface Upstream {
  /** Resolves with the instant (`performance.now()`) at which the call with this question was broken off. */
  aborted(question: string): Promise<number>
  close(): void
}

const wordMs = 50
const head =
  'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n'

export async function upstream(port: number): Promise<Upstream> {
  const waiting = new Map<string, PromiseWithResolvers<number>>()
  const sockets = new Set<Socket>()
  const of = (question: string) => {
    const known = waiting.get(question) ?? Promise.withResolvers<number>()
    waiting.set(question, known)
    return known
  }
  const server = createServer((socket) => {
    sockets.add(socket)
    let text = ''
    let question: string | null = null
    let timer: Timer | undefined
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      sockets.delete(socket)
      clearInterval(timer)
      if (question !== null) of(question).resolve(performance.now())
    })
    socket.on('data', (data) => {
      text += data.toString('latin1')
      const asked = questionOf(text)
      if (question !== null || asked === null) return
      question = asked
      socket.write(head)
      timer = setInterval(() => socket.write(chunkOf('word ')), wordMs)
    })
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return {
    aborted: (question) => of(question).promise,
    close() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** The last message of a whole request; null while it isn't whole. */
function questionOf(text: string): string | null {
  const end = text.indexOf('\r\n\r\n')
  const length = /content-length: (\d+)/i.exec(text)?.[1]
  if (end === -1 || length === undefined || text.length < end + 4 + Number(length)) return null
  const { messages } = JSON.parse(text.slice(end + 4)) as { messages: { content: string }[] }
  return messages.at(-1)?.content ?? ''
}

function chunkOf(content: string): string {
  const delta = { choices: [{ index: 0, delta: { content }, finish_reason: null }] }
  const line = `data: ${JSON.stringify(delta)}\n\n`
  return `${line.length.toString(16)}\r\n${line}\r\n`
}
