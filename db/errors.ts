/** No answer can be had of the database now: it is closed, not ready yet, cut off or too slow. */
export class DatabaseAway extends Error {
  override name = 'DatabaseAway'
  readonly code = 'DATABASE_AWAY'
}

// SQLSTATE classes: connection, transaction rollback, resources, operator intervention, system.
const outageClass = /^(08|40|53|57|58)[0-9A-Z]{3}$/
const outageCodes: ReadonlySet<string> = new Set([
  // No partition takes the row: its upkeep is behind.
  '23514',
  // A read-only server: a standby in the middle of a failover.
  '25006',
  // Its owner was idle in a transaction for too long.
  '25P03',
  // No such database, schema, table or column, or no right to it: migrations or an operator are behind, not the data.
  '3D000',
  '3F000',
  '42P01',
  '42703',
  '42501',
  '28000',
  '28P01',
  'DATABASE_AWAY',
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  // A Unix socket of a server that isn't there.
  'ENOENT',
  'ERR_SOCKET_CLOSED',
  'CONNECTION_CLOSED',
  'CONNECTION_DESTROYED',
  'CONNECTION_ENDED',
  'CONNECT_TIMEOUT',
])

// A ring of causes must not hang us.
const depthMax = 10

/** Whether the database (not the statement) is to blame, so that the same may succeed later. Looks through causes. */
export function isOutage(error: unknown): boolean {
  return codesOf(error).some((code) => outageCodes.has(code) || outageClass.test(code))
}

/** SQLSTATEs, and words of the system or of a driver, of the error and its causes; the outermost first. */
export function codesOf(error: unknown): string[] {
  const codes: string[] = []
  let at: unknown = error
  for (let depth = 0; depth < depthMax && typeof at === 'object' && at !== null; depth += 1) {
    if ('code' in at && typeof at.code === 'string') codes.push(at.code)
    at = 'cause' in at ? at.cause : undefined
  }
  return codes
}
