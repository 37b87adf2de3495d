import { nowMs, Source } from '../source.ts'

// The baseline: what Bun itself costs when it speaks the same frames, with nothing stored but an array in memory.
interface Data {
  sessionId: string
  cursor: number | null
}

interface Session {
  sockets: Set<Bun.ServerWebSocket<Data>>
  frames: string[]
  isActive: boolean
}

const epochMs = Number(process.env['BENCH_EPOCH_MS'] ?? nowMs())
const tokensPerSecond = Number(process.env['BENCH_RATE'] ?? 30)
const tokens = Number(process.env['BENCH_TOKENS'] ?? 150)
const source = new Source(epochMs)
const sessions = new Map<string, Session>()
const encoder = new TextEncoder()

function sessionOf(sessionId: string): Session {
  const known = sessions.get(sessionId)
  if (known !== undefined) return known
  const session = { sockets: new Set<Bun.ServerWebSocket<Data>>(), frames: [], isActive: false }
  sessions.set(sessionId, session)
  return session
}

function push(session: Session, frame: string): void {
  session.frames.push(frame)
  for (const socket of session.sockets) socket.send(frame)
}

function begin(sessionId: string): void {
  const session = sessionOf(sessionId)
  if (session.isActive) return
  session.isActive = true
  const messageId = crypto.randomUUID()
  let index = 0
  const seq = () => session.frames.length + 1
  push(session, `{"type":"started","messageId":"${messageId}","seq":${seq()}}`)
  source.start({
    tokensPerSecond,
    tokens,
    token(text) {
      push(
        session,
        `{"type":"chunk","messageId":"${messageId}","chunkIndex":${index},"text":"${text}","seq":${seq()}}`,
      )
      index += 1
    },
    end() {
      session.isActive = false
      push(
        session,
        `{"type":"done","messageId":"${messageId}","outcome":"completed","seq":${seq()}}`,
      )
    },
  })
}

function eventStream(): Response {
  const body = new ReadableStream<Uint8Array>({
    start: (controller) =>
      controller.enqueue(encoder.encode('event: live\ndata: {"type":"live","cursor":"1-0"}\n\n')),
  })
  return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
}

const server = Bun.serve<Data>({
  port: 0,
  hostname: '127.0.0.1',
  idleTimeout: 0,
  fetch(request, self) {
    const url = new URL(request.url)
    if (url.pathname === '/sse/chat') return eventStream()
    const cursor = url.searchParams.get('cursor')
    const data = {
      sessionId: url.searchParams.get('sessionId') ?? '',
      cursor: cursor === null ? null : Number(cursor.split('-')[1]),
    }
    if (self.upgrade(request, { data })) return undefined
    return new Response('no upgrade', { status: 426 })
  },
  websocket: {
    idleTimeout: 960,
    open(socket) {
      const session = sessionOf(socket.data.sessionId)
      const { cursor } = socket.data
      socket.send(`{"type":"welcome","start":"${cursor === null ? 'fresh' : 'resumed'}"}`)
      if (cursor !== null) for (const frame of session.frames.slice(cursor)) socket.send(frame)
      socket.send(`{"type":"live","cursor":"1-${session.frames.length}"}`)
      session.sockets.add(socket)
    },
    message(socket) {
      begin(socket.data.sessionId)
    },
    close(socket) {
      sessions.get(socket.data.sessionId)?.sockets.delete(socket)
    },
  },
})
process.stdout.write(`${JSON.stringify({ msg: 'ready', url: server.url.href })}\n`)
