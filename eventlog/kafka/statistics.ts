/** What the client last told of its producer. */
export interface KafkaStatistics {
  /** Records and bytes that wait for the brokers. */
  waiting: number
  waitingBytes: number
  retries: number
  /** 99th percentile of the round trip to the slowest broker. */
  roundTripMs: number
}

interface RawStatistics {
  msg_cnt?: number
  msg_size?: number
  brokers?: Record<string, { txretries?: number; rtt?: { p99?: number } }>
}

/** From librdkafka's JSON. */
export function statisticsOf(json: string): KafkaStatistics {
  const raw = JSON.parse(json) as RawStatistics
  const brokers = Object.values(raw.brokers ?? {})
  return {
    waiting: raw.msg_cnt ?? 0,
    waitingBytes: raw.msg_size ?? 0,
    retries: brokers.reduce((sum, { txretries = 0 }) => sum + txretries, 0),
    roundTripMs: Math.max(0, ...brokers.map(({ rtt }) => (rtt?.p99 ?? 0) / 1_000)),
  }
}
