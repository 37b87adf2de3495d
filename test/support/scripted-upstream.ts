import { createServer, type Server, type Socket } from 'node:net'
import { opened } from './tracker.ts'

/** One call of the model's server, as the script sees and answers it. */
export interface UpstreamCall {
  method: string
  path: string
  headers: Record<string, string>
  // biome-ignore lint/suspicious/noExplicitAny: what was sent is looked into freely
  body: any
  /** False once the caller has gone. */
  isOpen: boolean
  /** Status and headers; a streamed 200 unless told otherwise. */
  head(status?: number, headers?: Record<string, string>): void
  /** A whole answer that isn't streamed. */
  reply(status: number, body: string, headers?: Record<string, string>): void
  /** A `data:` event of this JSON. */
  event(data: unknown): void
  /** Anything of the body, in a chunk of its own. */
  raw(part: string | Uint8Array): void
  say(text: string): void
  delta(delta: Record<string, unknown>): void
  finish(reason?: string): void
  usage(usage: Record<string, unknown>): void
  /** `[DONE]` and the end of the body. */
  done(): void
  /** The body ends as it should. */
  end(): void
  /** The connection breaks. */
  cut(): void
}

const crlf = Buffer.from('\r\n')

export type UpstreamScript = (call: UpstreamCall) => unknown

/** Says these words and ends well. */
export function answering(...words: string[]): UpstreamScript {
  return (call) => {
    call.head()
    for (const word of words) call.say(word)
    call.finish()
    call.usage({ prompt_tokens: 3, completion_tokens: words.length })
    call.done()
  }
}

/**
 * An OpenAI-compatible server that does what the script says, well or badly: on bare TCP, so that it is able to cut
 * an answer at any byte. Each chat completion takes the next script; the last one stays.
 */
export class ScriptedUpstream implements AsyncDisposable {
  readonly calls: UpstreamCall[] = []
  /** Other calls than chat completions, as `GET /v1/models`. */
  readonly others: string[] = []
  scripts: UpstreamScript[]
  modelsStatus = 200
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #closed = opened('scripted upstream')

  private constructor(server: Server, scripts: UpstreamScript[]) {
    this.#server = server
    this.scripts = scripts
  }

  static async start(...scripts: UpstreamScript[]): Promise<ScriptedUpstream> {
    const server = createServer()
    const upstream = new ScriptedUpstream(server, scripts)
    server.on('connection', (socket) => upstream.#connected(socket))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return upstream
  }

  get baseUrl(): string {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('not listening')
    return `http://127.0.0.1:${address.port}/v1`
  }

  get last(): UpstreamCall {
    const call = this.calls.at(-1)
    if (call === undefined) throw new Error('nobody has called')
    return call
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.#server.close(resolve))
    for (const socket of this.#sockets) socket.destroy()
    await ended
    this.#closed()
  }

  #connected(socket: Socket): void {
    this.#sockets.add(socket)
    let text = ''
    let call: UpstreamCall | null = null
    socket.setEncoding('latin1')
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      this.#sockets.delete(socket)
      if (call !== null) call.isOpen = false
    })
    socket.on('data', (data) => {
      text += data
      const request = requestOf(text)
      if (request === null) return
      text = ''
      call = callOf(request, socket)
      this.#answer(call)
    })
  }

  #answer(call: UpstreamCall): void {
    if (!call.path.endsWith('/chat/completions')) {
      this.others.push(`${call.method} ${call.path}`)
      call.reply(this.modelsStatus, '{"data":[]}')
      return
    }
    this.calls.push(call)
    const script = this.scripts.length > 1 ? this.scripts.shift() : this.scripts[0]
    Promise.resolve(script?.(call)).catch((error: unknown) => {
      call.cut()
      throw error
    })
  }
}

interface ParsedRequest {
  method: string
  path: string
  headers: Record<string, string>
  body: unknown
}

/** Null while it isn't whole. */
function requestOf(text: string): ParsedRequest | null {
  const end = text.indexOf('\r\n\r\n')
  if (end === -1) return null
  const [first = '', ...lines] = text.slice(0, end).split('\r\n')
  const headers: Record<string, string> = {}
  for (const line of lines) {
    const at = line.indexOf(':')
    headers[line.slice(0, at).toLowerCase()] = line.slice(at + 1).trim()
  }
  const body = text.slice(end + 4)
  if (body.length < Number(headers['content-length'] ?? 0)) return null
  const [method = '', path = ''] = first.split(' ')
  const utf8 = Buffer.from(body, 'latin1').toString('utf8')
  return { method, path, headers, body: utf8 === '' ? null : JSON.parse(utf8) }
}

function callOf(request: ParsedRequest, socket: Socket): UpstreamCall {
  const write = (part: string | Uint8Array) => {
    if (!socket.destroyed) socket.write(part)
  }
  const chunk = (delta: object, rest: object = {}) => ({
    id: 'chatcmpl-1',
    object: 'chat.completion.chunk',
    choices: [{ index: 0, delta, finish_reason: null, ...rest }],
  })
  const call: UpstreamCall = {
    ...request,
    isOpen: true,
    head(status = 200, headers = {}) {
      const all = {
        'content-type': 'text/event-stream',
        'transfer-encoding': 'chunked',
        ...headers,
      }
      write(`HTTP/1.1 ${status} Scripted\r\n${linesOf(all)}\r\n`)
    },
    reply(status, body, headers = {}) {
      const all = {
        'content-type': 'application/json',
        'content-length': String(Buffer.byteLength(body)),
        ...headers,
      }
      write(`HTTP/1.1 ${status} Scripted\r\n${linesOf(all)}\r\n${body}`)
    },
    raw(part) {
      const bytes = Buffer.from(part)
      write(Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, crlf]))
    },
    event: (data) => call.raw(`data: ${JSON.stringify(data)}\n\n`),
    delta: (delta) => call.event(chunk(delta)),
    say: (text) => call.delta({ content: text }),
    finish: (reason = 'stop') => call.event(chunk({}, { finish_reason: reason })),
    usage: (usage) => call.event({ choices: [], usage }),
    done() {
      call.raw('data: [DONE]\n\n')
      call.end()
    },
    end: () => write('0\r\n\r\n'),
    cut: () => socket.destroy(),
  }
  return call
}

function linesOf(headers: Record<string, string>): string {
  return Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')
}
