import type { LogRecord } from '#eventlog/event-log.ts'

/** An event as a replay gives it: the value's own fields (or `_raw`, base64) and where it stands. */
export interface ReplayedEvent {
  [field: string]: unknown
  _replay: { topic: string; partition: number; offset: number }
}

/** A record on its way out; `event` is null when its value is no JSON object. */
export interface Replayed {
  record: LogRecord
  event: Record<string, unknown> | null
}

export function replayedOf(record: LogRecord): Replayed {
  return { record, event: record.value === null ? null : objectOf(record.value) }
}

export function toReplayedEvent({ record, event }: Replayed, hasText: boolean): ReplayedEvent {
  const { topic, partition, offset } = record
  const _replay = { topic, partition, offset }
  if (event === null) return { _raw: rawOf(record.value), _replay }
  if (hasText) return { ...event, _replay }
  const { content: _content, text: _text, parts: _parts, ...rest } = event
  return { ...rest, _replay }
}

/** The event's session and step, where it has them. */
export function stepOfEvent(
  event: Record<string, unknown>,
): { epoch: number; fromSeq: number; seq: number } | null {
  const { epoch, seq, fromSeq = seq } = event
  const isStep = isWhole(epoch) && isWhole(seq) && isWhole(fromSeq) && fromSeq <= seq
  return isStep ? { epoch, fromSeq, seq } : null
}

export function textField(event: Record<string, unknown> | null, name: string): string | null {
  const value = event?.[name]
  return typeof value === 'string' ? value : null
}

function isWhole(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function rawOf(value: Uint8Array | null): string | null {
  return value === null ? null : Buffer.from(value).toString('base64')
}

function objectOf(value: Uint8Array): Record<string, unknown> | null {
  try {
    const parsed: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(value))
    const isObject = typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)
    return isObject ? (parsed as Record<string, unknown>) : null
  } catch {
    return null
  }
}
