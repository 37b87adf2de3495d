import type { ChunkFrame, DoneFrame, ServerFrame } from '#client/frames.ts'
import { opened } from './tracker.ts'

/** One answer as a client has it: its text by chunks, and its end. */
export interface SeenAnswer {
  /** Of every kind. */
  chunks: string[]
  kinds: string[]
  done: DoneFrame | null
}

/**
 * A client that remembers nothing but what the protocol asks it to, and all that it was shown. It throws at whatever a
 * gateway must never do: a step out of order, a chunk that differs from what was shown, text behind an end.
 */
export class Watcher {
  readonly sessionId: string
  readonly answers = new Map<string, SeenAnswer>()
  /** By `requestId`: what was accepted. */
  readonly accepted = new Map<string, { messageId: string; duplicate: boolean }>()
  readonly errors: ServerFrame[] = []
  readonly faults: string[] = []
  start: string | null = null
  isLive = false
  cursor: string | null = null
  #socket: WebSocket | null = null
  #epoch = ''
  #seq = 0
  #snapshotChunks = 0
  #isResumed = false

  constructor(sessionId: string) {
    this.sessionId = sessionId
  }

  /** Connects, with the cursor if there is one. Resolves once open. */
  connect(url: string): Promise<void> {
    const query = new URLSearchParams({ sessionId: this.sessionId })
    if (this.cursor !== null) query.set('cursor', this.cursor)
    this.isLive = false
    this.start = null
    const closed = opened(`socket of ${this.sessionId}`)
    const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/ws/chat?${query}`)
    this.#socket = socket
    return new Promise((resolve, reject) => {
      socket.addEventListener('open', () => resolve())
      socket.addEventListener('error', () => reject(new Error('the socket did not open')))
      socket.addEventListener('close', () => {
        closed()
        this.isLive = false
      })
      socket.addEventListener('message', ({ data }) => {
        if (this.#socket === socket) this.#take(JSON.parse(String(data)) as ServerFrame)
      })
    })
  }

  send(frame: object): void {
    this.#socket?.send(JSON.stringify(frame))
  }

  /** Resolves once the socket is closed. */
  close(): Promise<void> {
    const socket = this.#socket
    this.#socket = null
    if (socket === null || socket.readyState === WebSocket.CLOSED) return Promise.resolve()
    return new Promise((resolve) => {
      socket.addEventListener('close', () => resolve())
      socket.close()
    })
  }

  get isDone(): boolean {
    return [...this.answers.values()].every(({ done }) => done !== null)
  }

  /** Answers whose text doesn't fit their end: none, ever. */
  get misfits(): string[] {
    return [...this.answers].flatMap(([messageId, { chunks, kinds, done }]) => {
      const text = chunks.filter((_, at) => kinds[at] === 'text').join('')
      if (done === null) return []
      const sha256 = new Bun.CryptoHasher('sha256').update(text).digest('hex')
      const fits =
        done.sha256 === sha256 && done.length === text.length && done.chunks === chunks.length
      return fits ? [] : [`${messageId}: ${chunks.length} chunks shown, ${done.chunks} said`]
    })
  }

  #take(frame: ServerFrame): void {
    if (frame.type === 'welcome') {
      this.start = frame.start
      this.#isResumed = frame.start === 'resumed'
      if (this.#isResumed) return
      this.cursor = null
      this.#snapshotChunks = 0
    } else if (frame.type === 'live') {
      this.cursor = frame.cursor
      const [epoch = '', seq = ''] = frame.cursor.split('-')
      this.#epoch = epoch
      this.#seq = Number(seq)
      this.isLive = true
      this.#isResumed = false
    } else if (frame.type === 'accepted') {
      const { requestId = '', messageId, duplicate } = frame
      this.accepted.set(requestId, { messageId, duplicate })
      this.#answer(messageId)
    } else if (frame.type === 'error') this.errors.push(frame)
    else if (frame.type === 'chunk') this.#chunk(frame)
    else if (frame.type === 'started') {
      this.#step(frame.seq, frame.seq)
      this.#answer(frame.messageId)
    } else if (frame.type === 'done') {
      this.#step(frame.seq, frame.seq)
      const answer = this.#answer(frame.messageId)
      if (answer.done !== null) this.faults.push(`${frame.messageId}: a second end`)
      answer.done = frame
    } else if (frame.type === 'erased') this.#step(frame.seq, frame.seq)
  }

  #answer(messageId: string): SeenAnswer {
    const known = this.answers.get(messageId)
    if (known !== undefined) return known
    const answer = { chunks: [], kinds: [], done: null }
    this.answers.set(messageId, answer)
    return answer
  }

  #chunk(frame: ChunkFrame): void {
    const { messageId, chunkIndex, seq, text = '' } = frame
    const from = frame.fromChunkIndex ?? chunkIndex
    const answer = this.#answer(messageId)
    if (answer.done !== null) this.faults.push(`${messageId}: a chunk behind its end`)
    if (seq === undefined) {
      // A snapshot tells the answer from the start: what was shown before must be in it.
      if (from !== this.#snapshotChunks) this.faults.push(`${messageId}: snapshot at ${from}`)
      const shown = answer.chunks.slice(from, chunkIndex + 1).join('')
      if (!text.startsWith(shown)) this.faults.push(`${messageId}: other text than was shown`)
      this.#snapshotChunks = chunkIndex + 1
    } else {
      this.#step(frame.fromSeq ?? seq, seq)
      if (from !== answer.chunks.length)
        this.faults.push(`${messageId}: chunk ${from} instead of ${answer.chunks.length}`)
    }
    // A merged run counts as the chunks that it is made of; its text stands in the first.
    const more = chunkIndex - from
    const { kind = 'text' } = frame
    answer.chunks.splice(from, more + 1, text, ...Array<string>(more).fill(''))
    answer.kinds.splice(from, more + 1, ...Array<string>(more + 1).fill(kind))
  }

  #step(from: number, to: number): void {
    if (!this.isLive && !this.#isResumed) return
    if (from !== this.#seq + 1) this.faults.push(`step ${from} behind ${this.#seq}`)
    this.#seq = to
    this.cursor = `${this.#epoch}-${to}`
  }
}
