import type {
  ChunkFrame,
  DoneFrame,
  HistoryFrame,
  HistoryMessage,
  NumberedFrame,
  ServerFrame,
  StartedFrame,
} from './frames.ts'
import { type ChatMessage, fromHistory, withChunk } from './message.ts'

/** `gap`: what came does not fit what was there. Connect again without a cursor. */
export type Verdict = 'ok' | 'gap'

/** One copy of a session: shown, or being received whole behind what is shown. */
interface Copy {
  messages: ChatMessage[]
  /** How many chunks of an unfinished answer have come, by its id. */
  next: Map<string, number>
  activeId: string | null
  nextBefore: string | null
}

const emptyCopy = (): Copy => ({ messages: [], next: new Map(), activeId: null, nextBefore: null })

/**
 * What a client has seen of a session, by the cursor rules of the protocol: no cursor until `live`, then that of
 * `live` and of each numbered frame; after `resumed` of each numbered frame from the first; no step left out.
 */
export class Transcript {
  #shown = emptyCopy()
  /** A snapshot on its way; replaces what is shown at `live`, so that a long answer never flickers. */
  #coming: Copy | null = null
  #phase: 'new' | 'snapshot' | 'resumed' | 'live' = 'new'
  #epoch = ''
  #seq = 0
  #hasCursor = false

  get messages(): readonly ChatMessage[] {
    return this.#shown.messages
  }

  /** The answer that is being made. */
  get activeId(): string | null {
    return this.#shown.activeId
  }

  get nextBefore(): string | null {
    return this.#shown.nextBefore
  }

  /** All that a reconnect must send; null: ask for everything. */
  get cursor(): string | null {
    return this.#hasCursor ? `${this.#epoch}-${this.#seq}` : null
  }

  /** What is shown stays until a snapshot replaces it. */
  forgetCursor(): void {
    this.#hasCursor = false
    this.#coming = null
    this.#phase = 'new'
  }

  apply(frame: ServerFrame): Verdict {
    switch (frame.type) {
      case 'welcome':
        return this.#welcome(frame.start)
      case 'history':
        return this.#history(frame)
      case 'live':
        return this.#live(frame.cursor)
      case 'status':
        this.#update(frame.messageId, (message) => ({ ...message, status: frame.status }))
        return 'ok'
      case 'chunk':
        return this.#phase === 'snapshot' ? this.#chunk(frame) : this.#step(frame)
      case 'started':
      case 'done':
      case 'erased':
        return this.#step(frame)
      default:
        return 'ok'
    }
  }

  /** A page of older history, put before what is shown. */
  prepend(messages: HistoryMessage[], nextBefore: string | null): void {
    const known = new Set(this.#shown.messages.map((message) => message.messageId))
    const older = messages.filter((message) => !known.has(message.messageId)).map(fromHistory)
    this.#shown.messages = [...older, ...this.#shown.messages]
    this.#shown.nextBefore = nextBefore
  }

  find(messageId: string): ChatMessage | undefined {
    return this.#shown.messages.findLast((message) => message.messageId === messageId)
  }

  #welcome(start: 'fresh' | 'snapshot' | 'resumed'): Verdict {
    this.#coming = null
    if (start === 'resumed') {
      if (!this.#hasCursor) return 'gap'
      this.#phase = 'resumed'
      return 'ok'
    }
    this.#hasCursor = false
    this.#phase = 'snapshot'
    this.#coming = emptyCopy()
    return 'ok'
  }

  #history(frame: HistoryFrame): Verdict {
    if (this.#phase !== 'snapshot') return 'gap'
    const copy = emptyCopy()
    copy.messages = frame.messages.map(fromHistory)
    copy.nextBefore = frame.nextBefore ?? null
    if (frame.active !== null) {
      const { messageId, userMessageId, model } = frame.active
      begin(copy, { messageId, parentMessageId: userMessageId, model })
    }
    // Nothing to flicker: a page that has just been loaded shows question and text as they come.
    const isFirst = this.#shown.messages.length === 0
    if (isFirst) this.#shown = copy
    this.#coming = copy
    return 'ok'
  }

  #live(cursor: string): Verdict {
    const [epoch, seq] = splitCursor(cursor)
    if (epoch === null) return 'gap'
    if (this.#phase === 'resumed' && (epoch !== this.#epoch || seq !== this.#seq)) return 'gap'
    if (this.#coming !== null) this.#shown = this.#coming
    this.#coming = null
    this.#phase = 'live'
    this.#epoch = epoch
    this.#seq = seq
    this.#hasCursor = true
    return 'ok'
  }

  /** A numbered frame: the next step, or a gap. */
  #step(frame: NumberedFrame): Verdict {
    if (this.#phase !== 'live' && this.#phase !== 'resumed') return 'gap'
    const { seq } = frame
    if (seq === undefined) return 'gap'
    const from = frame.type === 'chunk' ? (frame.fromSeq ?? seq) : seq
    if (from !== this.#seq + 1 || seq < from) return 'gap'
    const verdict = this.#applyStep(frame)
    if (verdict === 'ok') this.#seq = seq
    return verdict
  }

  #applyStep(frame: NumberedFrame): Verdict {
    switch (frame.type) {
      case 'started':
        return this.#started(frame)
      case 'chunk':
        return this.#chunk(frame)
      case 'done':
        return this.#done(frame)
      case 'erased':
        this.#shown = emptyCopy()
        return 'ok'
    }
  }

  #started(frame: StartedFrame): Verdict {
    const { userMessage, messageId, requestId, model } = frame
    const copy = this.#shown
    if (this.find(userMessage.messageId) === undefined) {
      copy.messages = [...copy.messages, userMessageOf(userMessage, requestId)]
    }
    begin(copy, { messageId, parentMessageId: userMessage.messageId, model })
    return 'ok'
  }

  #chunk(frame: ChunkFrame): Verdict {
    const { messageId, chunkIndex, kind = 'text', part = 0, text, data } = frame
    const copy = this.#coming ?? this.#shown
    const next = copy.next.get(messageId)
    const from = frame.fromChunkIndex ?? chunkIndex
    if (next !== from || chunkIndex < from) return 'gap'
    copy.next.set(messageId, chunkIndex + 1)
    const delta = {
      kind,
      part,
      ...(text !== undefined && { text }),
      ...(data !== undefined && { data }),
    }
    this.#update(messageId, (message) => withChunk(message, delta))
    return 'ok'
  }

  #done(frame: DoneFrame): Verdict {
    const { messageId, outcome, chunks, length, finishReason, usage, error } = frame
    const copy = this.#shown
    const message = this.find(messageId)
    if (message === undefined || copy.next.get(messageId) !== chunks) return 'gap'
    if (message.content.length !== length) return 'gap'
    copy.next.delete(messageId)
    if (copy.activeId === messageId) copy.activeId = null
    this.#update(messageId, (it) => ({
      ...it,
      outcome,
      status: null,
      ...(finishReason !== undefined && { finishReason }),
      ...(usage !== undefined && { usage }),
      ...(error !== undefined && { error }),
    }))
    return 'ok'
  }

  #update(messageId: string, change: (message: ChatMessage) => ChatMessage): void {
    const copy = this.#coming ?? this.#shown
    const at = copy.messages.findLastIndex((message) => message.messageId === messageId)
    const message = copy.messages[at]
    if (message === undefined) return
    copy.messages = copy.messages.slice()
    copy.messages[at] = change(message)
  }
}

function begin(
  copy: Copy,
  answer: { messageId: string; parentMessageId: string; model: string },
): void {
  copy.activeId = answer.messageId
  copy.next.set(answer.messageId, 0)
  copy.messages = [
    ...copy.messages,
    {
      ...answer,
      role: 'assistant',
      content: '',
      parts: [],
      createdAt: '',
      outcome: null,
      status: 'queued',
    },
  ]
}

function userMessageOf(
  message: StartedFrame['userMessage'],
  requestId: string | undefined,
): ChatMessage {
  return {
    ...message,
    role: 'user',
    parts: [],
    outcome: 'completed',
    status: null,
    ...(requestId !== undefined && { requestId }),
  }
}

function splitCursor(cursor: string): [epoch: string, seq: number] | [null, 0] {
  const at = cursor.lastIndexOf('-')
  const seq = Number(cursor.slice(at + 1))
  return at > 0 && Number.isSafeInteger(seq) ? [cursor.slice(0, at), seq] : [null, 0]
}
