import type {
  ChatFrame,
  ClientFrame,
  ErrorFrame,
  HistoryMessage,
  NumberedFrame,
  Outcome,
  ServerFrame,
} from '#client/frames.ts'
import { opened } from './tracker.ts'

/** One client's connection, as the script sees it. */
export interface Connection {
  transport: 'websocket' | 'sse'
  cursor: string | null
  token: string | null
  /** What the client said on it. */
  received: ClientFrame[]
  send(frame: ServerFrame): void
  /** SSE ends without a word; a WebSocket is closed with the code. */
  close(code?: number): void
  /** Cut as by the network; SSE knows no difference. */
  cut(): void
  isOpen: boolean
}

interface Script {
  /** What stands in the way of a WebSocket: refused by HTTP, or it never opens. */
  webSocket: 'open' | 'refused' | 'hangs'
  sse: 'open' | number
  heartbeatMs: number
  /** Instead of welcome, history, steps, live. */
  onConnect: ((connection: Connection) => void) | null
  /** Instead of accepting. */
  onChat: ((frame: ChatFrame) => ErrorFrame | null) | null
  /** The connection is cut after the question is taken and before `accepted`. */
  loseAccepted: boolean
}

interface Ids {
  messageId: string
  userMessageId: string
}

const encoder = new TextEncoder()

/**
 * A server of one session that speaks the protocol and does what the script says: the other side of the client's
 * tests, which is able to do what a good gateway never does.
 */
export class ScriptedGateway implements AsyncDisposable {
  readonly script: Script = {
    webSocket: 'open',
    sse: 'open',
    heartbeatMs: 25_000,
    onConnect: null,
    onChat: null,
    loseAccepted: false,
  }
  readonly connections: Connection[] = []
  readonly requests: { method: string; path: string; key: string | null; token: string | null }[] =
    []
  readonly steps: NumberedFrame[] = []
  epoch = 7
  history: HistoryMessage[] = []
  older: HistoryMessage[] = []
  active: { messageId: string; userMessageId: string; model: string } | null = null
  readonly #known = new Map<string, Ids>()
  readonly #server: Bun.Server<Connection>
  readonly #closed = opened('scripted gateway')
  #ids = 0

  constructor(port = 0) {
    this.#server = Bun.serve<Connection>({
      hostname: '127.0.0.1',
      port,
      idleTimeout: 0,
      fetch: (request, server) => this.#fetch(request, server),
      websocket: {
        open: (socket) => {
          const connection = socket.data
          connection.send = (frame) => socket.send(JSON.stringify(frame))
          connection.close = (code) => socket.close(code)
          connection.cut = () => socket.terminate()
          this.#connected(connection)
        },
        message: (socket, data) => this.#said(socket.data, JSON.parse(String(data))),
        close: (socket) => {
          socket.data.isOpen = false
        },
      },
    })
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.port}`
  }

  get port(): number {
    return this.#server.port ?? 0
  }

  get open(): Connection[] {
    return this.connections.filter((connection) => connection.isOpen)
  }

  get last(): Connection {
    const connection = this.connections.at(-1)
    if (connection === undefined) throw new Error('nobody has connected')
    return connection
  }

  get cursor(): string {
    return `${this.epoch}-${this.steps.at(-1)?.seq ?? 0}`
  }

  /** Takes a question as a gateway does: tells its ids, then begins. */
  ask(frame: ChatFrame, accepted: (ids: Ids & { duplicate: boolean }) => void = () => undefined) {
    const known = frame.requestId === undefined ? undefined : this.#known.get(frame.requestId)
    if (known !== undefined) {
      accepted({ ...known, duplicate: true })
      return
    }
    const ids = { messageId: this.#id('answer'), userMessageId: this.#id('question') }
    if (frame.requestId !== undefined) this.#known.set(frame.requestId, ids)
    accepted({ ...ids, duplicate: false })
    const content = frame.content ?? ''
    const userMessage = {
      messageId: ids.userMessageId,
      content,
      createdAt: new Date().toISOString(),
    }
    this.active = { ...ids, model: 'scripted' }
    this.history.push({ ...userMessage, conversationId: 's', role: 'user', outcome: 'completed' })
    this.step({
      type: 'started',
      seq: 0,
      messageId: ids.messageId,
      userMessage,
      model: 'scripted',
      ...(frame.requestId !== undefined && { requestId: frame.requestId }),
    })
  }

  /** A delta of the active answer. */
  say(text: string, kind = 'text', part = 0): void {
    const messageId = this.active?.messageId ?? ''
    const chunkIndex = this.#chunks(messageId).length
    this.step({ type: 'chunk', seq: 0, messageId, chunkIndex, kind, part, text })
  }

  /** Ends the active answer; `wrong` lies about it. */
  end(outcome: Outcome = 'completed', wrong: { sha256?: string; length?: number } = {}): void {
    const messageId = this.active?.messageId ?? ''
    const text = this.textOf(messageId)
    const sha256 = new Bun.CryptoHasher('sha256').update(text).digest('hex')
    const chunks = this.#chunks(messageId).length
    this.active = null
    this.history.push({
      messageId,
      conversationId: 's',
      role: 'assistant',
      content: text,
      outcome,
      createdAt: new Date().toISOString(),
    })
    this.step({
      type: 'done',
      seq: 0,
      messageId,
      outcome,
      chunks,
      length: text.length,
      sha256,
      ...wrong,
    })
  }

  textOf(messageId: string): string {
    const chunks = this.#chunks(messageId).filter((chunk) => (chunk.kind ?? 'text') === 'text')
    return chunks.map((chunk) => chunk.text ?? '').join('')
  }

  /** Numbers the frame, keeps it, sends it to everyone; `unheard`: only keeps it. */
  step(frame: NumberedFrame, unheard = false): void {
    const step = { ...frame, seq: this.steps.length + 1 }
    this.steps.push(step)
    if (unheard) return
    for (const connection of this.open) connection.send(step)
  }

  /** The start of a connection as the protocol has it. */
  welcome(connection: Connection): void {
    const [epoch, seq] = (connection.cursor ?? '').split('-')
    const isResumed = epoch === String(this.epoch) && Number(seq) <= this.steps.length
    const common = { type: 'welcome', userId: 'demo_user', nodeId: 'n1', protocol: 1 } as const
    const { heartbeatMs } = this.script
    const start = isResumed ? 'resumed' : connection.cursor === null ? 'fresh' : 'snapshot'
    connection.send({ ...common, sessionId: 's', heartbeatMs, start })
    if (isResumed) for (const step of this.steps.slice(Number(seq))) connection.send(step)
    else this.snapshot(connection)
    connection.send({ type: 'live', cursor: this.cursor })
  }

  snapshot(connection: Connection): void {
    const nextBefore = this.older.length > 0 ? { nextBefore: this.history[0]?.messageId ?? '' } : {}
    connection.send({
      type: 'history',
      messages: this.history.slice(),
      active: this.active,
      ...nextBefore,
    })
    if (this.active === null) return
    const { messageId } = this.active
    connection.send({ type: 'status', messageId, status: 'streaming' })
    for (const { seq: _seq, ...chunk } of this.#chunks(messageId)) connection.send(chunk)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop(true)
    this.#closed()
  }

  #id(kind: string): string {
    this.#ids += 1
    return `${kind}-${this.#ids}`
  }

  #chunks(messageId: string) {
    return this.steps
      .filter((step) => step.type === 'chunk')
      .filter((step) => step.messageId === messageId)
  }

  #fetch(
    request: Request,
    server: Bun.Server<Connection>,
  ): Promise<Response> | Response | undefined {
    const url = new URL(request.url)
    const bearer = request.headers.get('authorization')?.replace('Bearer ', '') ?? null
    const { method } = request
    const key = request.headers.get('idempotency-key')
    this.requests.push({ method, path: url.pathname, key, token: bearer })
    if (url.pathname === '/ws/chat') return this.#upgrade(request, url, server)
    if (url.pathname === '/sse/chat') return this.#stream(request, bearer)
    if (url.pathname === '/api/chat') return this.#post(request)
    if (url.pathname === '/api/cancel') return this.#cancel(request)
    if (url.pathname.startsWith('/api/history/')) return Response.json({ messages: this.older })
    return new Response('not found', { status: 404 })
  }

  #upgrade(request: Request, url: URL, server: Bun.Server<Connection>) {
    if (this.script.webSocket === 'refused') return new Response('no', { status: 403 })
    if (this.script.webSocket === 'hangs') return new Promise<Response>(() => undefined)
    const protocols = (request.headers.get('sec-websocket-protocol') ?? '').split(/, */)
    const token = protocols.find((name) => name.startsWith('bearer.'))?.slice(7) ?? null
    const data = newConnection('websocket', url.searchParams.get('cursor'), token)
    const headers = { 'sec-websocket-protocol': 'sluice.v1' }
    return server.upgrade(request, { data, headers })
      ? undefined
      : new Response(null, { status: 426 })
  }

  #stream(request: Request, token: string | null): Response {
    const { sse } = this.script
    if (sse !== 'open') {
      return Response.json(
        { error: { code: 'forbidden', message: 'no', temporary: false } },
        { status: sse },
      )
    }
    const connection = newConnection('sse', request.headers.get('last-event-id'), token)
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        connection.send = (frame) => {
          const id =
            'seq' in frame && frame.seq !== undefined ? `id: ${this.epoch}-${frame.seq}\n` : ''
          const text = `event: ${frame.type}\n${id}data: ${JSON.stringify(frame)}\n\n`
          if (connection.isOpen) controller.enqueue(encoder.encode(text))
        }
        connection.close = () => {
          connection.isOpen = false
          controller.close()
        }
        connection.cut = connection.close
        controller.enqueue(encoder.encode('retry: 5\n\n'))
        this.#connected(connection)
      },
      cancel: () => {
        connection.isOpen = false
      },
    })
    return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
  }

  async #post(request: Request): Promise<Response> {
    const body = (await request.json()) as { message: string }
    const requestId = request.headers.get('idempotency-key') ?? ''
    const frame: ChatFrame = { type: 'chat', content: body.message, requestId }
    const error = this.script.onChat?.(frame) ?? null
    if (error !== null) return Response.json({ error }, { status: 503 })
    let ids = {}
    this.ask(frame, (taken) => {
      ids = taken
    })
    return Response.json({ ...ids, sessionId: 's', conversationId: 's' }, { status: 202 })
  }

  async #cancel(request: Request): Promise<Response> {
    const { messageId } = (await request.json()) as { messageId: string }
    if (this.active?.messageId === messageId) this.end('cancelled')
    return Response.json({ messageId, outcome: 'cancelled' })
  }

  #connected(connection: Connection): void {
    this.connections.push(connection)
    if (this.script.onConnect === null) this.welcome(connection)
    else this.script.onConnect(connection)
  }

  #said(connection: Connection, frame: ClientFrame): void {
    connection.received.push(frame)
    if (frame.type === 'ping') connection.send({ type: 'pong' })
    if (frame.type === 'auth') connection.send({ type: 'authenticated', expiresAt: '' })
    if (frame.type === 'cancel') {
      if (this.active?.messageId === frame.messageId) this.end('cancelled')
      connection.send({ type: 'cancelled', messageId: frame.messageId, outcome: 'cancelled' })
    }
    if (frame.type !== 'chat') return
    const error = this.script.onChat?.(frame) ?? null
    if (error !== null) {
      connection.send(error)
    } else if (this.script.loseAccepted) {
      connection.isOpen = false
      this.ask(frame)
      connection.cut()
    } else {
      const { requestId } = frame
      const asked = requestId === undefined ? {} : { requestId }
      this.ask(frame, (ids) =>
        connection.send({
          type: 'accepted',
          ...ids,
          ...asked,
          sessionId: 's',
          conversationId: 's',
        }),
      )
    }
  }
}

function newConnection(
  transport: Connection['transport'],
  cursor: string | null,
  token: string | null,
): Connection {
  const unset = () => {
    throw new Error('not open yet')
  }
  return {
    transport,
    cursor,
    token,
    received: [],
    send: unset,
    close: unset,
    cut: unset,
    isOpen: true,
  }
}
