interface UntilOptions {
  timeoutMs?: number
  everyMs?: number
  /** Said when it never came true. */
  what?: string
}

/** Waits for a condition instead of a time; answers its first truthy value, throws when the time is over. */
export async function until<T>(
  condition: () => T | Promise<T>,
  options: UntilOptions = {},
): Promise<T> {
  const { timeoutMs = 4_000, everyMs = 5, what = condition.toString() } = options
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const value = await condition()
    if (value) return value
    if (performance.now() >= deadline) throw new Error(`never true in ${timeoutMs} ms: ${what}`)
    await Bun.sleep(everyMs)
  }
}
