import { connected, Producer, tellEvents } from './clients.mjs'
import { eachProduced, reportsFrame } from './frames.mjs'

const queueFull = -184
const fatal = -150
const retryMs = 20

/** Hands records to the client in the order of their frames, and tells what became of each. */
export class Producing {
  /** @type {any} */
  #client = null
  /** @type {Buffer[]} */
  #frames = []
  /** @type {{ id: number, again: () => void }[]} */
  #waiting = []
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
    for (const frame of this.#frames.splice(0)) this.#handOver(frame)
  }

  /** @param {Buffer} frame */
  produce(frame) {
    if (this.#client === null) this.#frames.push(frame)
    else this.#handOver(frame)
  }

  /** Resolves once nothing is on its way any more, or the time is over. @param {number} timeoutMs */
  async end(timeoutMs) {
    this.#isOver = true
    const client = this.#client
    if (client === null) return
    await new Promise((resolve) => client.flush(timeoutMs, resolve))
  }

  /** @param {Buffer} frame */
  #handOver(frame) {
    eachProduced(frame, (id, topic, partition, timestamp, key, value, headers) => {
      const again = () => this.#client.produce(topic, partition, value, key, timestamp, id, headers)
      if (this.#waiting.length > 0) {
        this.#waiting.push({ id, again })
        return
      }
      try {
        this.#client.produce(topic, partition, value, key, timestamp, id, headers)
      } catch (error) {
        if (!isFull(error)) {
          this.#report(id, error, { partition: -1, offset: -1 })
          return
        }
        this.#waiting.push({ id, again })
        setTimeout(() => this.#again(), retryMs)
      }
    })
  }

  #again() {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      try {
        next.again()
      } catch (error) {
        if (isFull(error)) {
          setTimeout(() => this.#again(), retryMs)
          return
        }
        this.#report(next.id, error, { partition: -1, offset: -1 })
      }
      this.#waiting.shift()
    }
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

/** @param {unknown} error */
function isFull(error) {
  return /** @type {any} */ (error).code === queueFull
}
