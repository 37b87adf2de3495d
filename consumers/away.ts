import { isOutage } from '#db/errors.ts'

/** Something that a consumer depends on is away: waited for with the partition standing still, never counted. */
export class Away extends Error {
  override name = 'Away'
}

// What `fetch` and sockets of this runtime say when nobody is there, beside the words of the system.
const awayCodes: ReadonlySet<string> = new Set([
  'ConnectionRefused',
  'ConnectionClosed',
  'ConnectionReset',
  'ConnectionTimeout',
  'FailedToOpenSocket',
  'DNSException',
  'Timeout',
])

/** Whether a dependency is to blame, so that the same may succeed later. */
export function isAway(error: unknown): boolean {
  if (error instanceof Away || isOutage(error)) return true
  return error instanceof Error && 'code' in error && awayCodes.has(String(error.code))
}
