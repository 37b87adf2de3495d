import type { TopicInfo } from '#eventlog/event-log.ts'
import { topics } from '#events/topics.ts'

export interface WantedTopic {
  topic: string
  partitions: number
  replication: number
  config: Record<string, string>
}

/** What making topics needs of Kafka. */
export interface TopicMaker {
  topics(): Promise<TopicInfo[]>
  brokers(): Promise<number>
  /** A topic as the product wants it, on so many brokers. */
  wanted(topic: string, partitions: number, brokers: number): WantedTopic
  /** False when it is there already. */
  createTopic(topic: WantedTopic): Promise<boolean>
}

export interface MadeTopic {
  topic: string
  partitions: number
  made: boolean
}

/** Makes the topics of the product that are not there. One that is there stays as it is. */
export async function makeTopics(kafka: TopicMaker, partitions: number): Promise<MadeTopic[]> {
  const there = new Map((await kafka.topics()).map((topic) => [topic.topic, topic.partitions]))
  const brokers = await kafka.brokers()
  const results: MadeTopic[] = []
  for (const topic of Object.values(topics)) {
    const known = there.get(topic)
    const made =
      known === undefined && (await kafka.createTopic(kafka.wanted(topic, partitions, brokers)))
    // Somebody else may have made it at this very moment, with another number.
    const count = known ?? (made ? partitions : await partitionsOf(kafka, topic))
    results.push({ topic, partitions: count, made })
  }
  return results
}

async function partitionsOf(kafka: TopicMaker, topic: string): Promise<number> {
  const found = (await kafka.topics()).find((at) => at.topic === topic)
  if (found === undefined) throw new Error(`${topic} was made by somebody else and is gone again`)
  return found.partitions
}
