const backoffMs = { min: 100, max: 2_000 }

export interface RepeatOptions {
  forMs: number
  onFailure?: (error: unknown) => void
  /** Nobody cares any more: the next failure is thrown. */
  isOver?: () => boolean
}

/** Repeats a step as it was while its outcome is unknown; after `forMs` the last failure is thrown. */
export async function repeated<T>(step: () => Promise<T>, options: RepeatOptions): Promise<T> {
  const deadline = performance.now() + options.forMs
  for (let pauseMs = backoffMs.min; ; pauseMs = Math.min(backoffMs.max, pauseMs * 2)) {
    try {
      return await step()
    } catch (error) {
      if (performance.now() >= deadline || options.isOver?.() === true) throw error
      options.onFailure?.(error)
      await Bun.sleep(pauseMs)
    }
  }
}
