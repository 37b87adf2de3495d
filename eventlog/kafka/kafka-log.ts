import type { Log } from '#runtime/log.ts'
import type {
  EventLog,
  JoinOptions,
  Kept,
  LogRecord,
  Membership,
  NewRecord,
  Partition,
  Position,
  TopicInfo,
} from '../event-log.ts'
import type { KafkaConfig } from './config.ts'
import { KafkaError } from './errors.ts'
import { type Frame, headOf, said } from './frames.ts'
import { Link } from './link.ts'
import { Member, type Start } from './member.ts'
import { failureOf, type Produced, Producing } from './producing.ts'
import { Reading } from './reading.ts'
import { hostSettings, type ProducerOptions } from './settings.ts'
import { type KafkaStatistics, statisticsOf } from './statistics.ts'
import { type NewTopic, TopicTable } from './topic-table.ts'

export interface KafkaLogOptions extends KafkaConfig, ProducerOptions {
  log: Log
  /** The `node` that runs the client: 20 or newer. */
  node?: string
  /** So long without a word, and the client's process is ended and started again. */
  hangMs?: number
}

export interface KafkaHealth {
  state: 'up' | 'down'
  reason?: string
}

const askedAtOnceMax = 8

/** The event log in Kafka. Starts at once and waits for the brokers as long as it takes; disposing leaves the groups. */
export function kafkaLog(options: KafkaLogOptions): KafkaLog {
  return new KafkaLog(options)
}

export class KafkaLog implements EventLog {
  readonly #link: Link
  readonly #topics: TopicTable
  readonly #producing: Producing
  readonly #reading: Reading
  readonly #members = new Map<number, Member>()
  readonly #log: Log
  #nextMember = 1
  #away: string | null = 'the brokers have not answered yet'
  #statistics: KafkaStatistics | null = null

  constructor(options: KafkaLogOptions) {
    const { log, node = 'node', hangMs = 5_000, lingerMs, heldMax, ...config } = options
    this.#log = log
    this.#link = new Link(
      { settings: hostSettings(config, { lingerMs, heldMax }), log, node, hangMs },
      {
        up: () => this.#up(),
        down: (reason) => this.#down(reason),
        frame: (frame) => this.#frame(frame),
        event: (event) => this.#event(event as unknown as HostEvent),
      },
    )
    this.#topics = new TopicTable(this.#link)
    this.#producing = new Producing(this.#link, this.#topics)
    this.#reading = new Reading(this.#link)
    this.#link.start()
  }

  /** The process that runs the client; null while there is none. */
  get pid(): number | null {
    return this.#link.pid
  }

  get statistics(): KafkaStatistics | null {
    return this.#statistics
  }

  async health(): Promise<KafkaHealth> {
    const reason = this.#link.trouble ?? this.#away
    return reason === null ? { state: 'up' } : { state: 'down', reason }
  }

  async produce(records: NewRecord[]): Promise<void> {
    const failure = failureOf(await this.#producing.produce(records))
    if (failure !== null) throw failure
  }

  /**
   * As `produce`, but tells what became of each record, in the order of the array. Never rejects. Waits as long as the
   * brokers are away; when the client's process is lost, all that was given before and not told yet is `unknown`.
   */
  produceEach(records: readonly NewRecord[]): Promise<Produced[]> {
    return this.#producing.produce(records)
  }

  /**
   * Drops all that is on its way, and tells it as `unknown`: only what has already left this machine may still come to
   * stand in the log. Another process of the client starts; members join again.
   */
  purge(): Promise<void> {
    return this.#link.kill('what was on its way was dropped', false)
  }

  async join(options: JoinOptions): Promise<Membership> {
    await this.#link.ready()
    const member = new Member(this.#nextMember, options, {
      link: this.#link,
      settings: {},
      log: this.#log,
      startsOf: (of, partitions) => this.#startsOf(of, partitions),
      gone: ({ id }) => this.#members.delete(id),
    })
    this.#nextMember += 1
    this.#members.set(member.id, member)
    await member.join()
    return member
  }

  async *read(
    range: Partition & { from: number; to: number },
    signal: AbortSignal,
  ): AsyncGenerator<LogRecord[]> {
    signal.throwIfAborted()
    const { topic, partition } = range
    const [kept] = await this.#keptOf(topic, [partition])
    if (kept === undefined) throw new KafkaError(`there is no ${topic}/${partition}`, -190)
    const from = Math.max(range.from, kept.from)
    const to = Math.min(range.to, kept.to)
    if (from < to) yield* this.#reading.read({ topic, partition, from, to }, signal)
    signal.throwIfAborted()
  }

  async kept(topic: string): Promise<Kept[] | null> {
    const count = await this.#topics.partitionsOf(topic)
    return count === null ? null : this.#keptOf(topic, upTo(count))
  }

  async offsetsAt(topic: string, atMs: number): Promise<Position[]> {
    const count = await this.#topics.partitionsOf(topic)
    if (count === null) throw new KafkaError(`there is no topic ${topic}`, 3)
    const ask = { topic, partitions: upTo(count), atMs: Math.max(0, Math.ceil(atMs)) }
    const found = (await this.#ask('offsetsAt', ask)) as Omit<Position, 'topic'>[]
    return found.map(({ partition, offset }) => ({ topic, partition, offset }))
  }

  async topics(): Promise<TopicInfo[]> {
    const topics = (await this.#ask('topics', {})) as TopicInfo[]
    return topics.map(({ topic, partitions }) => ({ topic, partitions }))
  }

  async committed(group: string): Promise<Position[]> {
    const positions = (await this.#ask('committed', { group })) as Position[]
    return positions.toSorted((a, b) =>
      a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1,
    )
  }

  async groups(): Promise<string[]> {
    const names = (await this.#ask('groups', {})) as string[]
    const found: string[] = []
    const look = async () => {
      for (let name = names.pop(); name !== undefined; name = names.pop()) {
        if ((await this.committed(name)).length > 0) found.push(name)
      }
    }
    await Promise.all(Array.from({ length: askedAtOnceMax }, look))
    return found.sort()
  }

  /** How many brokers there are. */
  async brokers(): Promise<number> {
    return ((await this.#ask('cluster', {})) as { brokers: number }).brokers
  }

  /** Whether the topic was made; false when there is one of that name. */
  async createTopic(topic: NewTopic): Promise<boolean> {
    return (await this.#ask('createTopic', topic)) as boolean
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#members.values()].map((member) => member[Symbol.asyncDispose]()))
    if (this.#link.trouble === null) {
      await this.#link.call('close', {}).catch((error: unknown) => {
        this.#log.warn('records may not have been written', { error })
      })
    }
    await this.#link.end()
  }

  #up(): void {
    for (const member of this.#members.values()) {
      member.join().catch((error: unknown) => this.#log.warn('cannot join again', { error }))
    }
  }

  #down(reason: string): void {
    this.#producing.lose(reason)
    this.#reading.lose(reason)
    for (const member of this.#members.values()) member.lose()
  }

  #frame(frame: Frame): void {
    if (frame.kind === said.reports) this.#producing.report(frame)
    else if (frame.kind === said.page) this.#reading.receive(frame)
    else if (frame.kind === said.records) {
      const [member, stream] = headOf(frame)
      this.#members.get(member)?.receive(stream, frame)
    }
  }

  #event(event: HostEvent): void {
    switch (event.is) {
      case 'assign':
        this.#members.get(event.member)?.assign(event.partitions)
        break
      case 'revoke':
        this.#members.get(event.member)?.revoke(event.partitions)
        break
      case 'code':
        this.#producing.name(event.code, event.message)
        break
      case 'reached':
        if (this.#away !== null) this.#log.info('Kafka answers')
        this.#away = null
        break
      case 'away':
        if (this.#away === null) this.#log.warn('Kafka is away', { reason: event.reason })
        this.#away = event.reason
        break
      case 'statistics':
        this.#statistics = statisticsOf(event.statistics)
        break
      case 'error':
      case 'log':
        this.#log.debug('the Kafka client says', { ...event })
    }
  }

  async #ask(method: string, ask: unknown): Promise<unknown> {
    await this.#link.ready()
    return this.#link.call(method, ask)
  }

  async #keptOf(topic: string, partitions: number[]): Promise<Kept[]> {
    const count = this.#topics.known(topic) ?? (await this.#topics.partitionsOf(topic)) ?? 0
    const there = partitions.filter((partition) => partition >= 0 && partition < count)
    if (there.length === 0) return []
    const kept = await this.#ask('kept', { topic, partitions: there })
    return (kept as Omit<Kept, 'topic'>[]).map((range) => ({ topic, ...range }))
  }

  async #startsOf({ group, from }: JoinOptions, partitions: Partition[]): Promise<Start[]> {
    const committed = await this.committed(group)
    const topics = [...new Set(partitions.map(({ topic }) => topic))]
    const starts: Start[] = []
    for (const topic of topics) {
      const wanted = partitions.filter((place) => place.topic === topic)
      const found =
        typeof from === 'string'
          ? (
              await this.#keptOf(
                topic,
                wanted.map(({ partition }) => partition),
              )
            ).map((kept) => ({
              topic,
              partition: kept.partition,
              offset: from === 'beginning' ? kept.from : kept.to,
            }))
          : await this.offsetsAt(topic, from.atMs)
      for (const { partition } of wanted) {
        const isIt = (at: Position) => at.topic === topic && at.partition === partition
        const position = committed.find(isIt) ?? found.find(isIt)
        if (position === undefined) continue
        starts.push({ ...position, isNew: committed.find(isIt) === undefined })
      }
    }
    return starts
  }
}

type HostEvent =
  | { is: 'assign' | 'revoke'; member: number; partitions: Partition[] }
  | { is: 'code'; code: number; message: string }
  | { is: 'reached' }
  | { is: 'away'; reason: string }
  | { is: 'statistics'; statistics: string }
  | { is: 'error' | 'log'; client: string; message: string }

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, at) => at)
}
