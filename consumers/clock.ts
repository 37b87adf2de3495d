import { sleep } from '#runtime/sleep.ts'

/** Time and chance, so that tests can have their own. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Resolves after `ms`, or as soon as `signal` aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
  /** From 0 to below 1. */
  random(): number
}

export const systemClock: Clock = {
  now: () => Date.now(),
  random: () => Math.random(),
  sleep,
}

const backoffFirstMs = 100
const backoffMaxMs = 30_000

/** How long to wait after the `failures`th failure in a row: 100 ms doubling to 30 s, half of it by chance. */
export function backoffMs(failures: number, clock: Clock): number {
  const full = Math.min(backoffMaxMs, backoffFirstMs * 2 ** Math.min(failures - 1, 20))
  return full * (0.5 + clock.random() / 2)
}
