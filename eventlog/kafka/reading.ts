import type { LogRecord, Partition } from '../event-log.ts'
import { KafkaAway } from './errors.ts'
import { type Frame, headOf, recordsOf } from './frames.ts'
import type { Link } from './link.ts'

interface Page {
  frame: Frame
  isLast: boolean
}

interface Waiting {
  resolve(page: Page): void
  reject(error: Error): void
}

const pageMax = 500
const openMs = 15_000
const pageMs = 30_000

/** Ranges of partitions, read page by page, one page ahead of whoever reads. */
export class Reading {
  readonly #link: Link
  readonly #waiting = new Map<number, Waiting>()
  #nextReader = 1

  constructor(link: Link) {
    this.#link = link
  }

  receive(frame: Frame): void {
    const [reader, isLast] = headOf(frame)
    this.#waiting.get(reader)?.resolve({ frame, isLast: isLast === 1 })
  }

  lose(reason: string): void {
    for (const { reject } of this.#waiting.values()) reject(new KafkaAway(reason))
  }

  async *read(
    range: Partition & { from: number; to: number },
    signal: AbortSignal,
  ): AsyncGenerator<LogRecord[]> {
    const reader = this.#nextReader
    this.#nextReader += 1
    await this.#link.ready()
    try {
      await this.#link.call('read.open', { reader, ...range }, openMs)
      let coming = this.#next(reader)
      for (;;) {
        const { frame, isLast } = await aborting(coming, signal)
        if (!isLast) {
          coming = this.#next(reader)
          // Whoever stops reading does not come for it.
          coming.catch(() => undefined)
        }
        const records = recordsOf(frame, range)
        if (records.length > 0) yield records
        signal.throwIfAborted()
        if (isLast) return
      }
    } finally {
      this.#waiting.delete(reader)
      this.#link.call('read.close', { reader }).catch((error: unknown) => {
        if (!(error instanceof KafkaAway)) throw error
      })
    }
  }

  #next(reader: number): Promise<Page> {
    return new Promise((resolve, reject) => {
      this.#waiting.set(reader, { resolve, reject })
      this.#link.call('read.next', { reader, max: pageMax }, pageMs).catch(reject)
    })
  }
}

function aborting<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
