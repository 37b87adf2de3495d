/** The two topics of the product. */
export const topics = { stream: 'stream-events', chat: 'chat-events' } as const

export type Topic = (typeof topics)[keyof typeof topics]

/** Partitions of a topic that is made without saying how many; a power of two, so that a shard feeds just one. */
export const partitionsDefault = 16

const ofChat: ReadonlySet<string> = new Set(['CHAT_MESSAGE', 'HISTORY_ERASED'])

/** Where events of this type stand. */
export function topicOf(eventType: string): Topic {
  return ofChat.has(eventType) ? topics.chat : topics.stream
}

/** Where a group parks what it can't handle. */
export function dlqTopic(topic: string, group: string): string {
  return `${topic}.${group}.dlq`
}

const dayMs = 24 * 3_600_000

/** How long a topic keeps a record, counted from its timestamp; dead letters as long as chat. */
export function retentionMsOf(topic: string): number {
  return topic === topics.chat || topic.endsWith('.dlq') ? 30 * dayMs : 7 * dayMs
}
