import type { NewRecord } from '../event-log.ts'
import { isRefusal, KafkaAway } from './errors.ts'
import { eachReport, type Frame } from './frames.ts'
import type { Link } from './link.ts'
import { frameBytesOf, produceFrame } from './produce-frame.ts'
import type { TopicTable } from './topic-table.ts'

/** What became of a record. */
export type Produced =
  | { is: 'delivered'; partition: number; offset: number }
  /** It will be refused again. */
  | { is: 'refused'; reason: string }
  /** It may stand in the log or not. To be given again, with all that came after it. */
  | { is: 'unknown'; reason: string }

interface Job {
  records: readonly NewRecord[]
  results: Produced[]
  /** Records without a result. */
  left: number
  /** Records handed over. */
  sent: number
  resolve(results: Produced[]): void
}

/** The records of one frame. */
interface Lot {
  job: Job
  /** Where each stands in its job. */
  places: number[]
  /** Records without a report. */
  left: number
  /** Of a record, on average. */
  bytesEach: number
}

// The client's own queue holds a little more.
const inFlightMax = 40_000
const inFlightBytesMax = 32 << 20
// An id is the number of its lot, then the place in it.
const placeBits = 10
const frameRecordsMax = 1 << placeBits
const lotsMax = 2 ** (32 - placeBits)
const frameBytesMax = 512 << 10
const topicsMax = 255

/** Records on their way to the client's process and back as reports, in the order in which they were given. */
export class Producing {
  readonly #link: Link
  readonly #topics: TopicTable
  readonly #lots = new Map<number, Lot>()
  readonly #messages = new Map<number, string>()
  #queue: Job[] = []
  #inFlight = 0
  #bytes = 0
  #nextLot = 0
  #life = 0
  #isBusy = false

  constructor(link: Link, topics: TopicTable) {
    this.#link = link
    this.#topics = topics
  }

  /** Resolves once it is known what became of each, however long Kafka is away. Never rejects. */
  produce(records: readonly NewRecord[]): Promise<Produced[]> {
    if (records.length === 0) return Promise.resolve([])
    return new Promise((resolve) => {
      const results = new Array<Produced>(records.length)
      this.#queue.push({ records, results, left: records.length, sent: 0, resolve })
      void this.#go()
    })
  }

  /** What a code means, as the client put it. */
  name(code: number, message: string): void {
    this.#messages.set(code, message)
  }

  report(frame: Frame): void {
    let number = -1
    let lot: Lot | undefined
    eachReport(frame, (id, code, partition, offset) => {
      if (id >>> placeBits !== number) {
        number = id >>> placeBits
        lot = this.#lots.get(number)
      }
      const at = lot?.places[id & (frameRecordsMax - 1)]
      if (lot === undefined || at === undefined || lot.job.results[at] !== undefined) return
      const isTaken = code === 0
      this.#settle(
        lot.job,
        at,
        isTaken ? { is: 'delivered', partition, offset } : this.#failureOf(code),
      )
      this.#inFlight -= 1
      this.#bytes -= lot.bytesEach
      lot.left -= 1
      if (lot.left === 0) this.#lots.delete(number)
    })
    void this.#go()
  }

  /** The process is gone. What waited behind what is lost must not overtake it: all of it goes back. */
  lose(reason: string): void {
    this.#life += 1
    const lost = [...this.#lots.values()]
    const queue = this.#queue
    this.#lots.clear()
    this.#queue = []
    this.#inFlight = 0
    this.#bytes = 0
    const result: Produced = { is: 'unknown', reason }
    for (const { job, places } of lost) for (const at of places) this.#settle(job, at, result)
    for (const job of queue) {
      while (job.sent < job.records.length) {
        this.#settle(job, job.sent, result)
        job.sent += 1
      }
    }
  }

  #failureOf(code: number): Produced {
    const reason = this.#messages.get(code) ?? `librdkafka says ${code}`
    return { is: isRefusal(code) ? 'refused' : 'unknown', reason }
  }

  #settle(job: Job, at: number, result: Produced): void {
    if (job.results[at] !== undefined) return
    job.results[at] = result
    job.left -= 1
    if (job.left === 0) job.resolve(job.results)
  }

  async #go(): Promise<void> {
    if (this.#isBusy) return
    this.#isBusy = true
    for (let job = this.#queue[0]; job !== undefined && this.#hasRoom(); job = this.#queue[0]) {
      const life = this.#life
      try {
        if (job.sent === 0) await this.#prepare(job)
        if (this.#link.trouble !== null) await this.#link.ready()
        if (life !== this.#life) continue
        this.#send(job)
        if (job.sent === job.records.length) this.#queue.shift()
      } catch (error) {
        // Else it is of jobs that have gone back already.
        if (life === this.#life) this.lose(error instanceof Error ? error.message : String(error))
      }
    }
    this.#isBusy = false
  }

  #hasRoom(): boolean {
    return this.#inFlight < inFlightMax && this.#bytes < inFlightBytesMax
  }

  /** Settles records that have no place to go. */
  async #prepare(job: Job): Promise<void> {
    const places = new Map<string, number>()
    for (const { topic, partition } of job.records) {
      places.set(topic, Math.max(places.get(topic) ?? -1, partition ?? -1))
    }
    for (const [topic, last] of places) {
      const known = this.#topics.known(topic)
      if (known !== undefined && last < known) continue
      const partitions = await this.#topics.ensure(topic)
      if (partitions !== null && last < partitions) continue
      for (const [at, record] of job.records.entries()) {
        if (record.topic !== topic) continue
        if (partitions === null) {
          this.#settle(job, at, { is: 'unknown', reason: `there is no topic ${topic}` })
        } else if ((record.partition ?? -1) >= partitions) {
          const reason = `${topic} has no partition ${record.partition}`
          this.#settle(job, at, { is: 'refused', reason })
        }
      }
    }
  }

  #send(job: Job): void {
    while (job.sent < job.records.length && this.#hasRoom()) {
      const records: NewRecord[] = []
      const places: number[] = []
      const topics = new Set<string>()
      let bytes = 0
      while (job.sent < job.records.length && records.length < frameRecordsMax) {
        const record = job.records[job.sent]
        if (record === undefined || bytes > frameBytesMax || topics.size >= topicsMax) break
        job.sent += 1
        if (job.results[job.sent - 1] !== undefined) continue
        places.push(job.sent - 1)
        records.push(record)
        topics.add(record.topic)
        bytes += frameBytesOf(record)
      }
      if (records.length === 0) continue
      const number = this.#newLot({
        job,
        places,
        left: places.length,
        bytesEach: bytes / places.length,
      })
      this.#link.send(produceFrame((number << placeBits) >>> 0, records, bytes))
    }
  }

  #newLot(lot: Lot): number {
    do this.#nextLot = (this.#nextLot + 1) % lotsMax
    while (this.#lots.has(this.#nextLot))
    this.#lots.set(this.#nextLot, lot)
    this.#inFlight += lot.left
    this.#bytes += lot.left * lot.bytesEach
    return this.#nextLot
  }
}

/** The first failure of some, as an error. */
export function failureOf(results: readonly Produced[]): Error | null {
  for (const result of results) {
    if (result.is === 'unknown') return new KafkaAway(result.reason)
    if (result.is === 'refused') return new Error(result.reason)
  }
  return null
}
