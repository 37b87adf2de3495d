import type { SessionRef } from '../../generations/generations.ts'
import type { OpenEvent, Run } from '../../generations/steps.ts'
import { openEvent } from '../open-event.ts'
import type { Chunk } from '../text.ts'
import type { Transcript } from './transcript.ts'

const runBytesMax = 16 * 1024
/** What an outbox that is more than half full is spared: so many times fewer runs. */
const crowdedFactor = 10

export interface RunsOptions {
  session: SessionRef
  messageId: string
  nodeId: string
  traceparent?: string | undefined
  /** A run is closed by the first chunk that comes this long after its first; 0: every chunk by itself. */
  chunkEventMs: number
  /** Runs last longer while this says so. */
  isCrowded?: () => boolean
  eventContent: 'full' | 'none'
  now: () => number
}

/** Makes `CHUNK_RECEIVED` events of runs of chunks. A run holds whole chunks of one part, at most 16 KiB of them. */
export class Runs {
  readonly #options: RunsOptions
  #from: number
  #to: number
  readonly #texts: string[] = []
  #bytes = 0
  #firstAtMs = 0
  #part = 0
  #kind = 'text'

  /** `told`: the first chunk that no event has told. */
  constructor(options: RunsOptions, told: number) {
    this.#options = options
    this.#from = told
    this.#to = told
  }

  /** The first chunk that no closed run holds. */
  get told(): number {
    return this.#from
  }

  /** Whether a run is open past its time. */
  isOverdue(nowMs: number): boolean {
    return this.#from < this.#to && this.#isOver(nowMs)
  }

  /** The next chunk; a run that it closes is put into `closed`. */
  add(chunk: Chunk, closed: Run[]): void {
    if (this.#from < this.#to && !this.#fits(chunk)) this.close(closed)
    if (this.#from === this.#to) {
      this.#firstAtMs = chunk.atMs
      this.#part = chunk.part
      this.#kind = chunk.kind
    }
    this.#texts.push(chunk.text)
    this.#bytes += chunk.bytes
    this.#to++
    if (this.#options.chunkEventMs === 0) this.close(closed)
  }

  /** Tells what is left. */
  close(closed: Run[]): void {
    if (this.#from === this.#to) return
    closed.push({ from: this.#from, to: this.#to, event: this.#event() })
    this.#from = this.#to
    this.#texts.length = 0
    this.#bytes = 0
  }

  #fits(chunk: Chunk): boolean {
    return (
      chunk.part === this.#part &&
      this.#bytes + chunk.bytes <= runBytesMax &&
      !this.#isOver(chunk.atMs)
    )
  }

  #isOver(nowMs: number): boolean {
    const { chunkEventMs, isCrowded } = this.#options
    const lastedMs = nowMs - this.#firstAtMs
    if (lastedMs < chunkEventMs) return false
    return lastedMs >= chunkEventMs * crowdedFactor || isCrowded?.() !== true
  }

  #event(): OpenEvent {
    const { session, messageId, nodeId, traceparent, eventContent, now } = this.#options
    const isPlain = this.#part === 0 && this.#kind === 'text'
    const text = this.#texts.join('')
    return openEvent({
      eventType: 'CHUNK_RECEIVED',
      session,
      at: now(),
      nodeId,
      traceparent,
      fields: {
        messageId,
        fromChunkIndex: this.#from,
        chunkIndex: this.#to - 1,
        ...(!isPlain && { kind: this.#kind, part: this.#part }),
        contentLength: text.length,
        ...(eventContent === 'full' && { text }),
      },
    })
  }
}

/** Runs that tell chunks `[told, to)` of a transcript, made anew. */
export function runsOver(
  transcript: Transcript,
  options: RunsOptions,
  { told, to }: { told: number; to: number },
): Run[] {
  const closed: Run[] = []
  const runs = new Runs(options, told)
  for (const chunk of transcript.chunks(told, to)) runs.add(chunk, closed)
  runs.close(closed)
  return closed
}
