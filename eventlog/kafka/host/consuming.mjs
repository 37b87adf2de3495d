import { asked, connected, KafkaConsumer, tellEvents } from './clients.mjs'
import { Commits } from './commits.mjs'
import { recordsFrame, said } from './frames.mjs'
import { pieces, Streams } from './streams.mjs'

const assignPartitions = -175
const revokePartitions = -174
const batchMax = 1_000
const waitMs = 50
const errorWaitMs = 100
const seekMs = 5_000
const answeredMs = 15_000
const stallMs = 300

/** @typedef {import('./streams.mjs').Stream} Stream */

/** One member of a group. What moves partitions runs only between two `consume`, which else could answer of both. */
export class Consuming {
  /** @type {any} */
  #client = null
  #streams = new Streams((stream) => this.#paused(stream))
  /** @type {(() => Promise<void> | void)[]} */
  #tasks = []
  #isBusy = false
  #isOver = false
  /** @type {NodeJS.Timeout | null} */
  #stall = null
  /** Rebalances that the parent has not answered. */
  #unanswered = 0
  /** @type {(() => void)[]} */
  #watchers = []
  #commits = new Commits()
  #member
  #parent

  /** @param {number} member @param {{ tell: (event: object) => void, write: (frame: Buffer) => void }} parent */
  constructor(member, parent) {
    this.#member = member
    this.#parent = parent
  }

  /** @param {object} settings @param {string[]} topics */
  async start(settings, topics) {
    const rebalance = (/** @type {any} */ error, /** @type {any[]} */ partitions) =>
      this.#rebalance(error?.code, partitions)
    const committed = (/** @type {any} */ error, /** @type {any[]} */ positions) =>
      this.#commits.stored(error, positions)
    const make = () => {
      const client = new KafkaConsumer(
        { ...settings, rebalance_cb: rebalance, offset_commit_cb: committed, event_cb: true },
        { 'auto.offset.reset': 'earliest' },
      )
      tellEvents(client, 'consumer', this.#parent.tell)
      return client
    }
    const onFailure = (/** @type {string} */ reason) => this.#parent.tell({ is: 'away', reason })
    const client = await connected(make, onFailure, () => this.#isOver)
    if (client === null) return
    if (this.#isOver) {
      client.disconnect()
      return
    }
    client.setDefaultConsumeTimeout(waitMs)
    client.setDefaultIsTimeoutOnlyForFirstMessage(true)
    client.subscribe(topics)
    this.#client = client
    this.#go()
  }

  /** @param {{ positions: { topic: string, partition: number, offset?: number, stream: number }[] }} ask */
  assign({ positions }) {
    return this.#answer(() => {
      this.#client.incrementalAssign(
        positions.map(({ topic, partition, offset }) => ({ topic, partition, offset })),
      )
      for (const { topic, partition, stream } of positions) {
        this.#streams.begin(topic, partition, stream)
      }
    })
  }

  /** @param {{ partitions: { topic: string, partition: number }[] }} ask */
  unassign({ partitions }) {
    return this.#answer(() => {
      for (const { topic, partition } of partitions) this.#streams.end(topic, partition)
      this.#client.incrementalUnassign(partitions)
    })
  }

  /** @param {{ topic: string, partition: number, offset: number, stream: number }} ask */
  seek({ topic, partition, offset, stream }) {
    return this.#between(async () => {
      const before = this.#streams.of(topic, partition)
      if (before === undefined) return
      const place = { topic, partition, offset }
      try {
        await asked((answer) => this.#client.seek(place, seekMs, answer))
      } catch {
        // The partition is not being fetched (yet): begun anew, it is.
        this.#client.incrementalUnassign([{ topic, partition }])
        this.#client.incrementalAssign([place])
      }
      const now = this.#streams.begin(topic, partition, stream)
      now.isLeft = before.isLeft
      if (before.isPaused) this.#client.resume([{ topic, partition }])
    })
  }

  /** @param {{ stream: number, isLeft: boolean }} ask */
  leave({ stream, isLeft }) {
    this.#streams.leave(stream, isLeft)
    this.#go()
  }

  /** @param {number} stream @param {number} bytes */
  credit(stream, bytes) {
    this.#streams.read(stream, bytes)
    this.#go()
  }

  /** Resolves once it is stored. @param {{ positions: any[] }} ask */
  async commit({ positions }) {
    if (this.#client === null) throw new Error('has not joined')
    await this.#commits.commit(this.#client, positions)
  }

  /** Resolves once the group knows that it has left. */
  async end() {
    const client = this.#client
    if (client !== null) {
      // A rebalance that is not answered would keep the client from closing.
      await this.#until(() => this.#unanswered === 0)
      client.unsubscribe()
      await this.#until(() => this.#unanswered === 0 && this.#streams.isEmpty)
    }
    this.#isOver = true
    await this.#between(() => undefined)
    if (client !== null) await new Promise((resolve) => client.disconnect(resolve))
  }

  /** @param {() => boolean} condition @returns {Promise<void>} */
  #until(condition) {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer)
        this.#watchers = this.#watchers.filter((watcher) => watcher !== look)
        resolve()
      }
      const look = () => {
        if (condition()) end()
      }
      const timer = setTimeout(end, answeredMs)
      this.#watchers.push(look)
      look()
    })
  }

  /** @param {() => void} task */
  async #answer(task) {
    try {
      await this.#between(task)
    } finally {
      this.#unanswered -= 1
      for (const look of this.#watchers) look()
    }
  }

  /** @param {number | undefined} code @param {any[]} partitions */
  #rebalance(code, partitions) {
    if (code !== assignPartitions && code !== revokePartitions) return
    this.#unanswered += 1
    this.#parent.tell({
      is: code === assignPartitions ? 'assign' : 'revoke',
      member: this.#member,
      partitions: partitions.map(({ topic, partition }) => ({ topic, partition })),
    })
  }

  /** @param {() => Promise<void> | void} task @returns {Promise<void>} */
  #between(task) {
    return new Promise((resolve, reject) => {
      this.#tasks.push(async () => {
        try {
          await task()
          resolve()
        } catch (error) {
          reject(error)
        }
      })
      this.#go()
    })
  }

  #go() {
    if (this.#isBusy) return
    if (this.#tasks.length > 0) {
      this.#isBusy = true
      void this.#runTasks().then(() => this.#free())
      return
    }
    if (this.#isOver || this.#client === null) return
    if (this.#streams.hasRoom) this.#consume()
    else this.#stall ??= setTimeout(() => this.#hold(), stallMs)
  }

  #free() {
    this.#isBusy = false
    this.#go()
  }

  async #runTasks() {
    for (let task = this.#tasks.shift(); task !== undefined; task = this.#tasks.shift())
      await task()
  }

  #consume() {
    this.#isBusy = true
    this.#client.consume(batchMax, (/** @type {any} */ error, /** @type {any[]} */ messages) => {
      if (error) {
        this.#parent.tell({
          is: 'error',
          client: 'consumer',
          code: error.code,
          message: error.message,
        })
        setTimeout(() => this.#free(), errorWaitMs)
        return
      }
      // The next are fetched while these are written.
      this.#free()
      if (messages.length > 0) this.#deliver(messages)
    })
  }

  /** @param {any[]} messages */
  #deliver(messages) {
    for (const [stream, those] of this.#streams.sorted(messages)) {
      let bytes = 0
      for (const some of pieces(those)) {
        const frame = recordsFrame(said.records, [this.#member, stream.id], some)
        bytes += frame.length
        this.#parent.write(frame)
      }
      this.#streams.written(stream, bytes)
    }
  }

  #hold() {
    this.#stall = null
    this.#streams.makeRoom()
    this.#go()
  }

  /** @param {Stream} stream */
  #paused({ topic, partition, isPaused }) {
    if (isPaused) this.#client.pause([{ topic, partition }])
    else this.#client.resume([{ topic, partition }])
  }
}
