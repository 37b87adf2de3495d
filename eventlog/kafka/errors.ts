/** The brokers or the client's process could not be reached: the same may succeed later. */
export class KafkaAway extends Error {
  override name = 'KafkaAway'
  readonly code = 'KAFKA_AWAY'
}

/** Kafka or its client says no. */
export class KafkaError extends Error {
  override name = 'KafkaError'
  /** librdkafka's; negative: the client's own. */
  readonly kafkaCode: number

  constructor(message: string, kafkaCode: number) {
    super(message)
    this.kafkaCode = kafkaCode
  }
}

const awayCodes: ReadonlySet<number> = new Set([
  -195, // transport failure
  -187, // all brokers down
  -185, // timed out
  -193, // resolving the host
  5, // leader not available
  6, // not leader
  7, // request timed out
  14, // coordinator loads
  15, // coordinator not available
  16, // not coordinator
])

export function kafkaErrorOf(message: string, code: number | undefined): Error {
  if (code !== undefined && awayCodes.has(code)) return new KafkaAway(message)
  return new KafkaError(message, code ?? -1)
}

// What is the record's own fault and will be tomorrow: everything else may be mended by an operator or by time.
const refusedCodes: ReadonlySet<number> = new Set([
  -190, // no such partition
  2, // invalid message
  10, // message too large
  18, // batch too large
  32, // invalid timestamp
  44, // policy violation
  87, // invalid record
])

export function isRefusal(code: number): boolean {
  return refusedCodes.has(code)
}
