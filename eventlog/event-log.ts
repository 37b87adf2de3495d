/** A record as it stands in the log. Keys, values and headers are kept byte for byte. */
export interface LogRecord extends NewRecord {
  partition: number
  offset: number
}

export interface NewRecord {
  topic: string
  /** Left out: murmur2 of the key, as the Java clients have it. */
  partition?: number
  key: Uint8Array | null
  value: Uint8Array | null
  /** In order; a name may stand more than once. */
  headers: [name: string, value: Uint8Array][]
  /** Milliseconds since the epoch (Kafka's CreateTime). */
  timestamp: number
}

export interface Partition {
  topic: string
  partition: number
}

export interface Position extends Partition {
  offset: number
}

/** The kept offsets of a partition: `[from, to)`. */
export interface Kept extends Partition {
  from: number
  to: number
}

/** Records of one partition, in offset order, without a gap that the log did not make itself. */
export interface Batch extends Partition {
  records: LogRecord[]
}

/** Where a group that has no committed offset begins. */
export type From = 'beginning' | 'end' | { atMs: number }

export interface JoinOptions {
  group: string
  topics: string[]
  from: From
  /**
   * Called with partitions that are newly this member's, before any record of them. Answers where to begin
   * (its own table knows better than the log's committed offset); a partition left out begins at the group's
   * committed offset, else at `from`.
   */
  onAssigned?(partitions: Partition[]): Promise<Position[]>
  /** Called before partitions go to another member; batches of them must not be committed afterwards. */
  onRevoked?(partitions: Partition[]): Promise<void>
}

/** One member of a consumer group. */
export interface Membership extends AsyncDisposable {
  /**
   * At most one batch per assigned and unpaused partition, at most `max` records each. Waits until there is
   * something; empty only when `signal` aborts. Never skips: the next call goes on behind what this one returned.
   */
  poll(max: number, signal: AbortSignal): Promise<Batch[]>
  pause(partition: Partition): void
  resume(partition: Partition): void
  /** The next poll of this partition begins at `offset`. */
  seek(position: Position): Promise<void>
  /** Tells the log how far the group is (`offset` = the next to be read). For lag tools; resolves once stored. */
  commit(positions: Position[]): Promise<void>
  assigned(): Partition[]
}

export interface TopicInfo {
  topic: string
  partitions: number
}

/** An append-only log of records in topics and partitions. Adapters: `sqlite/`, `kafka/`. */
export interface EventLog extends AsyncDisposable {
  /** Resolves once all are durable; order within a partition is the order of the array. Rejects if one was not stored. */
  produce(records: NewRecord[]): Promise<void>
  join(options: JoinOptions): Promise<Membership>
  /**
   * The records `[from, to)` of one partition, in pages. Ends at `to` or at the partition's end as it is now,
   * whichever is first; joins no group, commits nothing. Starts at the first kept offset when `from` is below it
   * (compare with `kept` to say so).
   */
  read(
    range: Partition & { from: number; to: number },
    signal: AbortSignal,
  ): AsyncIterable<LogRecord[]>
  /** Every partition's kept range; null when there is no such topic. */
  kept(topic: string): Promise<Kept[] | null>
  /** Per partition the first offset whose timestamp is at or after `atMs`; the end when there is none. */
  offsetsAt(topic: string, atMs: number): Promise<Position[]>
  topics(): Promise<TopicInfo[]>
  /** What a group has committed. */
  committed(group: string): Promise<Position[]>
  /** Every group that has committed something. */
  groups(): Promise<string[]>
}
