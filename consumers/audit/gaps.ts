import type { LogRecord } from '#eventlog/event-log.ts'
import { Coverage } from '../coverage.ts'
import { stepOf } from '../step.ts'

/** Steps of a session that no record of any topic told. */
export interface Gap {
  sessionId: string
  epoch: number
  fromSeq: number
  toSeq: number
}

interface Topic {
  first: number
  last: number
}

interface Seen {
  epoch: number
  covered: Coverage
  topics: Map<string, Topic>
  /** Up to here all is judged. */
  judged: number
}

// So many that were seen last, and up to as many from before them.
const sessionsMax = 20_000

/**
 * Finds lost records: the `seq`s of a session have no gaps over all of `topics` together, so a step is lost once every
 * topic has told of a later one and none has told it. Judges only what came after the first record that it saw of the
 * session in each topic, so it finds no gap where it merely began to read; with one topic's partition on another
 * member it says nothing.
 */
export class GapDetector {
  readonly #topics: readonly string[]
  readonly #onGap: (gap: Gap) => void
  #sessions = new Map<string, Seen>()
  #before = new Map<string, Seen>()

  constructor(topics: readonly string[], onGap: (gap: Gap) => void) {
    this.#topics = topics
    this.#onGap = onGap
  }

  see(records: readonly LogRecord[]): void {
    for (const record of records) {
      const step = record.key === null ? null : stepOf(record)
      if (record.key === null || step === null) continue
      const sessionId = Buffer.from(record.key).toString()
      const seen = this.#seen(sessionId, step.epoch)
      if (step.epoch < seen.epoch) continue
      seen.covered.add(step.fromSeq, step.seq)
      const topic = seen.topics.get(record.topic)
      if (topic === undefined)
        seen.topics.set(record.topic, { first: step.fromSeq, last: step.seq })
      else topic.last = Math.max(topic.last, step.seq)
      this.#judge(sessionId, seen)
    }
  }

  forget(): void {
    this.#sessions.clear()
    this.#before.clear()
  }

  #seen(sessionId: string, epoch: number): Seen {
    const recent = this.#sessions.get(sessionId)
    if (recent !== undefined && recent.epoch >= epoch) return recent
    const known = recent ?? this.#before.get(sessionId)
    const seen =
      known !== undefined && known.epoch >= epoch
        ? known
        : { epoch, covered: new Coverage(), topics: new Map(), judged: 0 }
    this.#sessions.set(sessionId, seen)
    if (this.#sessions.size >= sessionsMax) {
      this.#before = this.#sessions
      this.#sessions = new Map()
    }
    return seen
  }

  #judge(sessionId: string, seen: Seen): void {
    if (seen.topics.size < this.#topics.length) return
    const topics = [...seen.topics.values()]
    const from = Math.max(seen.judged + 1, ...topics.map((topic) => topic.first))
    const to = Math.min(...topics.map((topic) => topic.last))
    if (to < from) return
    for (const run of seen.covered.missing(from, to)) {
      this.#onGap({ sessionId, epoch: seen.epoch, fromSeq: run.from, toSeq: run.to })
    }
    seen.judged = to
  }
}
