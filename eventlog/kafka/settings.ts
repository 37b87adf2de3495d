import type { KafkaConfig } from './config.ts'

type Settings = Record<string, string | number | boolean>

export interface HostSettings extends Record<string, unknown> {
  admin: Settings
  producer: Settings
  consumer: Settings
  reader: Settings
  /** How often, and within what, the brokers are asked whether they are there. */
  probeMs: number
}

const messageBytesMax = 8 << 20

export interface ProducerOptions {
  /** How long a record waits for others that go with it; the fewer requests, the less work for all. */
  lingerMs?: number | undefined
  /** Records that the client holds at most. What comes while it is full waits in front of it, in order. */
  heldMax?: number | undefined
}

/** librdkafka's settings for each kind of client. */
export function hostSettings(
  config: KafkaConfig,
  { lingerMs = 5, heldMax = 50_000 }: ProducerOptions = {},
): HostSettings {
  const common = commonOf(config)
  return {
    admin: common,
    producer: {
      ...common,
      'enable.idempotence': true,
      acks: 'all',
      // The outbox decides how long a record is wanted, not a clock.
      'message.timeout.ms': 0,
      'linger.ms': lingerMs,
      'compression.codec': 'lz4',
      // As the Java clients have it; the default of librdkafka is another.
      partitioner: 'murmur2_random',
      'message.max.bytes': messageBytesMax,
      'queue.buffering.max.messages': heldMax,
      'queue.buffering.max.kbytes': 65_536,
      'statistics.interval.ms': 15_000,
    },
    consumer: {
      ...common,
      ...consuming,
      'partition.assignment.strategy': 'cooperative-sticky',
      // A member that is killed is replaced within 15 s, one that comes or goes within two heartbeats.
      'session.timeout.ms': 10_000,
      'heartbeat.interval.ms': 500,
      'max.poll.interval.ms': 300_000,
      // A topic that is made later is found so soon.
      'topic.metadata.refresh.interval.ms': 10_000,
      ...(config.groupInstanceId !== undefined && { 'group.instance.id': config.groupInstanceId }),
    },
    // It never subscribes: the group is only a name that the client wants.
    reader: {
      ...common,
      ...consuming,
      'group.id': `${config.clientId}-reader`,
      'queued.max.messages.kbytes': 4_096,
      // A range that comes to be read waits for the fetch that is under way: its end is never waited at for long.
      'fetch.wait.max.ms': 10,
      'isolation.level': 'read_committed',
    },
    probeMs: 3_000,
  }
}

const consuming: Settings = {
  'enable.auto.commit': false,
  'enable.auto.offset.store': false,
  'queued.max.messages.kbytes': 16_384,
  'fetch.queue.backoff.ms': 100,
  'receive.message.max.bytes': 100 << 20,
}

function commonOf({ brokers, clientId, sasl, ssl }: KafkaConfig): Settings {
  const protocol = `${sasl === undefined ? '' : 'sasl_'}${ssl === undefined ? 'plaintext' : 'ssl'}`
  return {
    'metadata.broker.list': brokers.join(','),
    'client.id': clientId,
    'security.protocol': protocol,
    'socket.keepalive.enable': true,
    'log.connection.close': false,
    // Back within two seconds of the brokers.
    'reconnect.backoff.max.ms': 2_000,
    ...(sasl !== undefined && {
      'sasl.mechanisms': sasl.mechanism,
      'sasl.username': sasl.username,
      'sasl.password': sasl.password,
    }),
    ...(ssl !== undefined && {
      'enable.ssl.certificate.verification': ssl.verify,
      ...(ssl.ca !== undefined && { 'ssl.ca.location': ssl.ca }),
      ...(ssl.certificate !== undefined && { 'ssl.certificate.location': ssl.certificate }),
      ...(ssl.key !== undefined && { 'ssl.key.location': ssl.key }),
      ...(ssl.keyPassword !== undefined && { 'ssl.key.password': ssl.keyPassword }),
    }),
  }
}
