/** ISO 8601, UTC, milliseconds. */
export function iso(atMs: number): string {
  return new Date(atMs).toISOString()
}
