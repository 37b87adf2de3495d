/** All in milliseconds. */
export interface Timing {
  /** First ceiling of the back-off; it doubles with each failed try. */
  backOffMs: number
  backOffMaxMs: number
  /** A first WebSocket without a frame for so long counts as blocked. */
  blockedMs: number
  /** Any later connection without a frame for so long is given up. */
  openMs: number
  /** Dead after the server's heartbeat and this much silence. */
  graceMs: number
  /** How long a connection may take to prove that it lives after a wake-up. */
  wakeMs: number
  /** On SSE because the WebSocket was blocked: looked at again after this, then ever more seldom. */
  probeMs: number
  probeMaxMs: number
  /** The token is refreshed so long before it ends. */
  refreshMs: number
}

export const defaultTiming: Timing = {
  backOffMs: 500,
  backOffMaxMs: 20_000,
  blockedMs: 3000,
  openMs: 10_000,
  graceMs: 10_000,
  wakeMs: 3000,
  probeMs: 15_000,
  probeMaxMs: 600_000,
  refreshMs: 30_000,
}

/** Full jitter: anything up to a ceiling that doubles with each failed try (`tries` from 0). */
export function backOff(timing: Timing, tries: number, random: () => number): number {
  const ceiling = Math.min(timing.backOffMaxMs, timing.backOffMs * 2 ** Math.min(tries, 30))
  return random() * ceiling
}
