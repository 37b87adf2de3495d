import { connected, Producer, tellEvents } from './clients.mjs'
import { reportsFrame } from './frames.mjs'
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
  /** @type {any[]} */
  #reports = []
  #isTelling = false
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
      client.on('delivery-report', (/** @type {any} */ error, /** @type {any} */ report) =>
        this.#report(report.opaque, error, report),
      )
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
    await new Promise((resolve) => client.flush(timeoutMs, resolve))
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
    this.#reports.push({ id, code, partition, offset: offset ?? -1 })
    if (this.#isTelling) return
    this.#isTelling = true
    setImmediate(() => {
      this.#isTelling = false
      this.#write(reportsFrame(this.#reports.splice(0)))
    })
  }
}
