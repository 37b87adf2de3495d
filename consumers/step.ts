import type { LogRecord } from '#eventlog/event-log.ts'

/** Which steps of its session a record tells: `fromSeq` to `seq` of an epoch. */
export interface Step {
  epoch: number
  fromSeq: number
  seq: number
}

// Gateways close the JSON of an event with these, so the value's last bytes tell them.
const closing =
  /"epoch":(\d+),"seq":(\d+)(?:,"fromSeq":(\d+))?(?:,"previous":\{"epoch":\d+,"seq":\d+\})?\}$/
const closingBytes = 160

/** The record's steps, without reading its JSON where a gateway wrote it; null when it tells of none. */
export function stepOf(record: LogRecord): Step | null {
  const { value } = record
  if (value === null) return null
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  const end = bytes.toString('latin1', Math.max(0, bytes.byteLength - closingBytes))
  const match = closing.exec(end)
  if (match !== null) {
    const seq = Number(match[2])
    return { epoch: Number(match[1]), fromSeq: Number(match[3] ?? seq), seq }
  }
  return bytes.includes('"seq":') ? stepOfJson(bytes) : null
}

function stepOfJson(bytes: Buffer): Step | null {
  let event: unknown
  try {
    event = JSON.parse(bytes.toString())
  } catch {
    return null
  }
  if (typeof event !== 'object' || event === null) return null
  const { epoch, seq, fromSeq = seq } = event as Record<string, unknown>
  if (typeof epoch !== 'number' || typeof seq !== 'number' || typeof fromSeq !== 'number') {
    return null
  }
  return { epoch, fromSeq, seq }
}
