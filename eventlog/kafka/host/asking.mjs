import { AdminClient, asked, OffsetSpec, tellEvents } from './clients.mjs'

const timeoutMs = 8_000
const noTopic = new Set([3, -188])
const topicExists = 36
// The code is lost on the way here.
const allDown = /^all broker connections are down/i
const groupIsGone = new Set([69, 16, 30])
const soon = new Set([3, 5, 6, 9, 74, 75, 78, 100, -188])
const againMs = 50

/** Questions to the brokers: topics, offsets, groups. */
export class Asking {
  #client

  /** @param {object} settings @param {(event: object) => void} tell */
  constructor(settings, tell) {
    this.#client = AdminClient.create(settings)
    tellEvents(this.#client, 'admin', tell)
    this.#client.on('event.error', (/** @type {any} */ { message }) => {
      if (allDown.test(message)) tell({ is: 'away', reason: message })
    })
  }

  /** Whether the brokers answer. @param {number} withinMs */
  probe(withinMs) {
    return asked((answer) =>
      this.#client.getMetadata({ allTopics: false, timeout: withinMs }, answer),
    )
  }

  async cluster() {
    const { brokers } = await this.#metadata()
    return { brokers: brokers.length }
  }

  async topics() {
    const { topics } = await this.#metadata()
    return topics
      .filter((/** @type {any} */ { name }) => !name.startsWith('__'))
      .map((/** @type {any} */ { name, partitions }) => ({
        topic: name,
        partitions: partitions.length,
      }))
  }

  /** @param {{ topic: string }} ask @returns {Promise<number | null>} */
  async partitions({ topic }) {
    try {
      const described = await asked((answer) =>
        this.#client.describeTopics([topic], { timeout: timeoutMs }, answer),
      )
      const { error, partitions } = described[0]
      if (error && error.code !== 0) {
        if (noTopic.has(error.code)) return null
        throw error
      }
      return partitions.length
    } catch (error) {
      if (noTopic.has(/** @type {any} */ (error).code)) return null
      throw error
    }
  }

  /**
   * Whether the topic was made; false when it is there already.
   * @param {{ topic: string, partitions: number, replication: number, config: Record<string, string> }} ask
   */
  async createTopic({ topic, partitions, replication, config }) {
    const wanted = {
      topic,
      num_partitions: partitions,
      replication_factor: replication,
      config,
    }
    try {
      await asked((answer) => this.#client.createTopic(wanted, timeoutMs, answer))
      await this.#whole(topic)
      return true
    } catch (error) {
      if (/** @type {any} */ (error).code === topicExists) return false
      throw error
    }
  }

  /** Resolves once the brokers tell of it, and who leads its partitions. @param {string} topic */
  async #whole(topic) {
    const options = { timeout: timeoutMs }
    for (const deadline = Date.now() + timeoutMs; Date.now() < deadline; ) {
      const [found] = await asked((answer) => this.#client.describeTopics([topic], options, answer))
      if (!found.error?.code && found.partitions.every((/** @type {any} */ { leader }) => leader)) {
        return
      }
      await new Promise((resolve) => setTimeout(resolve, againMs))
    }
  }

  /** First and end offsets. @param {{ topic: string, partitions: number[] }} ask */
  async kept({ topic, partitions }) {
    const [first, end] = await Promise.all([
      this.#offsets(topic, partitions, OffsetSpec.EARLIEST),
      this.#offsets(topic, partitions, OffsetSpec.LATEST),
    ])
    return partitions.map((partition) => ({
      partition,
      from: first.get(partition),
      to: end.get(partition),
    }))
  }

  /** First offsets at or after a time, the ends where there is none. @param {{ topic: string, partitions: number[], atMs: number }} ask */
  async offsetsAt({ topic, partitions, atMs }) {
    const [found, end] = await Promise.all([
      this.#offsets(topic, partitions, new OffsetSpec(atMs)),
      this.#offsets(topic, partitions, OffsetSpec.LATEST),
    ])
    return partitions.map((partition) => {
      const offset = found.get(partition)
      return { partition, offset: offset < 0 ? end.get(partition) : offset }
    })
  }

  /** @param {{ group: string }} ask */
  async committed({ group }) {
    const options = { timeout: timeoutMs, requireStableOffsets: true }
    let answers
    try {
      answers = await asked((answer) =>
        this.#client.listConsumerGroupOffsets([{ groupId: group }], options, answer),
      )
    } catch (error) {
      if (groupIsGone.has(/** @type {any} */ (error).code)) return []
      throw error
    }
    const { error, partitions } = answers[0]
    if (error && error.code !== 0) {
      if (groupIsGone.has(error.code)) return []
      throw error
    }
    return partitions
      .filter((/** @type {any} */ { offset }) => typeof offset === 'number' && offset >= 0)
      .map((/** @type {any} */ { topic, partition, offset }) => ({ topic, partition, offset }))
  }

  async groups() {
    const { groups } = await asked((answer) =>
      this.#client.listGroups({ timeout: timeoutMs }, answer),
    )
    return groups.map((/** @type {any} */ { groupId }) => groupId)
  }

  #metadata() {
    return asked((answer) =>
      this.#client.getMetadata({ allTopics: true, timeout: timeoutMs }, answer),
    )
  }

  /** @param {string} topic @param {number[]} partitions @param {any} offset @returns {Promise<Map<number, any>>} */
  async #offsets(topic, partitions, offset) {
    const asks = partitions.map((partition) => ({ topic, partition, offset }))
    const options = { timeout: timeoutMs, isolationLevel: 1 }
    const found = await patiently(async () => {
      const answers = await asked((answer) => this.#client.listOffsets(asks, options, answer))
      for (const { error } of answers) if (error && error.code !== 0) throw error
      return answers
    })
    return new Map(found.map((/** @type {any} */ at) => [at.partition, at.offset]))
  }
}

/** Again while a topic that is new, or a partition that moves, has nobody who knows of it. @param {() => Promise<any>} ask */
async function patiently(ask) {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      if (!soon.has(/** @type {any} */ (error).code) || Date.now() > deadline) throw error
      await new Promise((resolve) => setTimeout(resolve, againMs))
    }
  }
}
