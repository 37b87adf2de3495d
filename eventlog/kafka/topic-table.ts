import { dlqTopic, retentionMsOf } from '#events/topics.ts'
import type { Link } from './link.ts'

const replicationMax = 3
const messageBytesMax = 4 << 20
// A parked record is the record and what is told of it.
const parkedBytesMax = messageBytesMax + (64 << 10)
// A record keeps its event's time, however wrong a node's clock is or however late it is told.
const anyTime = String(2n ** 63n - 1n)
const suffix = dlqTopic('', '').replaceAll('..', '.')

export interface NewTopic {
  topic: string
  partitions: number
  replication: number
  config: Record<string, string>
}

/** A topic as the product wants it, on so many brokers. */
export function newTopic(topic: string, partitions: number, brokers: number): NewTopic {
  const replication = Math.min(replicationMax, brokers)
  const isParked = topic.endsWith(suffix)
  return {
    topic,
    partitions,
    replication,
    config: {
      'cleanup.policy': 'delete',
      'retention.ms': String(retentionMsOf(topic)),
      'min.insync.replicas': String(Math.min(2, replication)),
      'max.message.bytes': String(isParked ? parkedBytesMax : messageBytesMax),
      'message.timestamp.before.max.ms': anyTime,
      'message.timestamp.after.max.ms': anyTime,
    },
  }
}

/** How many partitions topics have; makes dead-letter topics, which come to be with their first record. */
export class TopicTable {
  readonly #link: Link
  readonly #known = new Map<string, number>()
  readonly #looking = new Map<string, Promise<number | null>>()

  constructor(link: Link) {
    this.#link = link
  }

  /** Without asking anybody. */
  known(topic: string): number | undefined {
    return this.#known.get(topic)
  }

  /** Null when there is no such topic. */
  async partitionsOf(topic: string): Promise<number | null> {
    await this.#link.ready()
    const partitions = (await this.#link.call('partitions', { topic })) as number | null
    if (partitions === null) this.#known.delete(topic)
    else this.#known.set(topic, partitions)
    return partitions
  }

  /** As `partitionsOf`, but a dead-letter topic is made when its source is there. */
  ensure(topic: string): Promise<number | null> {
    const looking = this.#looking.get(topic)
    if (looking !== undefined) return looking
    const found = this.#find(topic).finally(() => this.#looking.delete(topic))
    this.#looking.set(topic, found)
    return found
  }

  async #find(topic: string): Promise<number | null> {
    const partitions = await this.partitionsOf(topic)
    if (partitions !== null || !topic.endsWith(suffix)) return partitions
    const source = await this.#sourceOf(topic)
    if (source === null) return null
    const { brokers } = (await this.#link.call('cluster', {})) as { brokers: number }
    await this.#link.call('createTopic', newTopic(topic, source, brokers))
    this.#known.set(topic, source)
    return source
  }

  /** Partitions of the topic whose records are parked in this one: both names may hold dots. */
  async #sourceOf(topic: string): Promise<number | null> {
    for (let end = topic.length - suffix.length; ; ) {
      end = topic.lastIndexOf('.', end - 1)
      if (end <= 0) return null
      const partitions = await this.partitionsOf(topic.slice(0, end))
      if (partitions !== null) return partitions
    }
  }
}
