import { asked, connected, KafkaConsumer, tellEvents } from './clients.mjs'
import { recordsFrame, said } from './frames.mjs'

const idleMax = 4
const openMs = 10_000
const waitMs = 1_000

/** Reads ranges of partitions, in no group. Clients are kept for the next reading. */
export class Reading {
  /** @type {any[]} */
  #idle = []
  /** @type {Map<number, any>} */
  #open = new Map()
  #settings
  #tell
  #write

  /** @param {object} settings @param {{ tell: (event: object) => void, write: (frame: Buffer) => void }} parent */
  constructor(settings, { tell, write }) {
    this.#settings = settings
    this.#tell = tell
    this.#write = write
  }

  /** @param {{ reader: number, topic: string, partition: number, from: number, to: number }} range */
  async open({ reader, topic, partition, from, to }) {
    const reading = { client: null, to, isAtEnd: false, isClosed: false, hand: Promise.resolve() }
    this.#open.set(reader, reading)
    const client = this.#idle.pop() ?? (await this.#connect())
    if (reading.isClosed) {
      this.#keep(client)
      return
    }
    reading.client = client
    client.removeAllListeners('partition.eof')
    client.on('partition.eof', () => {
      reading.isAtEnd = true
    })
    client.assign([{ topic, partition, offset: from }])
  }

  /** Writes one page, with the reader's number and whether it is the last. @param {{ reader: number, max: number }} ask */
  next({ reader, max }) {
    const reading = this.#open.get(reader)
    if (!reading?.client) throw new Error('no such reading')
    const page = reading.hand.then(async () => {
      const messages = await this.#page(reading, max)
      if (!reading.isClosed) {
        this.#write(recordsFrame(said.page, [reader, reading.isAtEnd ? 1 : 0], messages))
      }
    })
    reading.hand = page.catch(() => undefined)
    return page
  }

  /** @param {{ reader: number }} ask */
  async close({ reader }) {
    const reading = this.#open.get(reader)
    this.#open.delete(reader)
    if (reading === undefined) return
    reading.isClosed = true
    await reading.hand
    if (reading.client === null) return
    reading.client.unassign()
    this.#keep(reading.client)
  }

  /** @param {any} reading @param {number} max @returns {Promise<any[]>} */
  async #page(reading, max) {
    while (!reading.isClosed && !reading.isAtEnd) {
      const messages = await asked((answer) => reading.client.consume(max, answer))
      const within = messages.filter((/** @type {any} */ { offset }) => offset < reading.to)
      if (messages.length > 0 && messages[messages.length - 1].offset >= reading.to - 1) {
        reading.isAtEnd = true
      }
      if (within.length > 0) return within
    }
    return []
  }

  async #connect() {
    const deadline = Date.now() + openMs
    let why = ''
    const make = () => {
      const client = new KafkaConsumer(
        { ...this.#settings, 'enable.partition.eof': true },
        { 'auto.offset.reset': 'error' },
      )
      tellEvents(client, 'reader', this.#tell)
      return client
    }
    const onFailure = (/** @type {string} */ reason) => {
      why = reason
    }
    const client = await connected(make, onFailure, () => Date.now() > deadline)
    if (client === null) throw new Error(why)
    client.setDefaultConsumeTimeout(waitMs)
    client.setDefaultIsTimeoutOnlyForFirstMessage(true)
    return client
  }

  /** @param {any} client */
  #keep(client) {
    if (this.#idle.length < idleMax) this.#idle.push(client)
    else client.disconnect()
  }
}
