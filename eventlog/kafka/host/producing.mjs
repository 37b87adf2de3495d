import { connected, Producer, tellEvents } from './clients.mjs'
import { Reports } from './frames.mjs'
import { ProduceReader } from './produce-frame.mjs'

const queueFull = -184
const fatal = -150
const retryMs = 20

/** Hands records to the client in the order of their frames, and tells what became of each. */
export class Producing {
  /** @type {any} */
  #client = null
  /** @type {Buffer[]} */
  #frames = []
  #reader = new ProduceReader()
  /** The client's queue is full: the record that the reader stands at comes again. */
  #isFull = false
  /** Records that the client has and has not told of. */
  #inHand = 0
  #reports = new Reports()
  #isGathering = false
  /** Reports at the last look. */
  #looked = 0
  #isOver = false
  /** @type {Set<number>} */
  #named = new Set()
  #tell
  #write

  /** @param {{ tell: (event: object) => void, write: (frame: Buffer) => void }} parent */
  constructor({ tell, write }) {
    this.#tell = tell
    this.#write = write
  }

  /** @param {object} settings */
  async start(settings) {
    const make = () => {
      const client = new Producer({ ...settings, dr_cb: true, event_cb: true })
      tellEvents(client, 'producer', this.#tell)
      client.on('event.stats', (/** @type {any} */ { message }) =>
        this.#tell({ is: 'statistics', statistics: message }),
      )
      client.on('event.error', (/** @type {any} */ { code, isFatal }) => {
        // Nothing that this producer has in hand can be delivered any more: another one must begin.
        if (isFatal || code === fatal) setImmediate(() => process.exit(1))
      })
      client.on('delivery-report', (/** @type {any} */ error, /** @type {any} */ report) => {
        this.#inHand -= 1
        this.#report(report.opaque, error, report)
      })
      return client
    }
    const onFailure = (/** @type {string} */ reason) => this.#tell({ is: 'away', reason })
    const client = await connected(make, onFailure, () => this.#isOver)
    if (client === null) return
    client.setPollInBackground(true)
    this.#client = client
    this.#handOver()
  }

  /** @param {Buffer} frame */
  produce(frame) {
    this.#frames.push(frame)
    if (this.#client !== null && !this.#isFull) this.#handOver()
  }

  /** Resolves once nothing is on its way any more, or the time is over. @param {number} timeoutMs */
  async end(timeoutMs) {
    this.#isOver = true
    const client = this.#client
    if (client === null) return
    const deadline = performance.now() + timeoutMs
    await new Promise((resolve) => client.flush(timeoutMs, resolve))
    // It has told all by then, but not yet here.
    while (this.#inHand > 0 && performance.now() < deadline)
      await new Promise((resolve) => setImmediate(resolve))
    this.#tellReports()
  }

  #handOver() {
    const reader = this.#reader
    for (;;) {
      while (this.#isFull || reader.next()) if (!this.#offer(reader)) return
      const frame = this.#frames.shift()
      if (frame === undefined) return
      reader.open(frame)
    }
  }

  /** Whether the client's queue had room. @param {ProduceReader} record */
  #offer({ id, topic, partition, timestamp, key, value, headers }) {
    try {
      this.#client.produce(topic, partition, value, key, timestamp, id, headers)
      this.#inHand += 1
    } catch (error) {
      this.#isFull = /** @type {any} */ (error).code === queueFull
      if (this.#isFull) {
        setTimeout(() => this.#handOver(), retryMs)
        return false
      }
      this.#report(id, error, { partition: -1, offset: -1 })
    }
    this.#isFull = false
    return true
  }

  /** @param {number} id @param {any} error @param {{ partition: number, offset: number }} report */
  #report(id, error, { partition, offset }) {
    const code = error ? (error.code ?? -1) : 0
    if (code !== 0 && !this.#named.has(code)) {
      this.#named.add(code)
      this.#tell({ is: 'code', code, message: error.message })
    }
    if (this.#reports.isFull) this.#tellReports()
    this.#reports.add(id, code, partition, offset ?? -1)
    if (this.#isGathering) return
    this.#isGathering = true
    setImmediate(this.#gather)
  }

  /** The client tells of at most a hundred in each turn of the loop; as long as it does, they are gathered. */
  #gather = () => {
    const { count } = this.#reports
    if (count > this.#looked) {
      this.#looked = count
      setImmediate(this.#gather)
      return
    }
    this.#isGathering = false
    this.#tellReports()
  }

  #tellReports() {
    this.#looked = 0
    if (this.#reports.count > 0) this.#write(this.#reports.take())
  }
}
