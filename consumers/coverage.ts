/** A run of whole numbers, both ends included. */
export interface Run {
  from: number
  to: number
}

/** A set of whole numbers as runs, ascending, none touching another. */
export class Coverage {
  readonly #runs: Run[] = []

  get top(): number {
    return this.#runs.at(-1)?.to ?? 0
  }

  add(from: number, to: number): void {
    const runs = this.#runs
    let at = runs.length
    while (at > 0 && (runs[at - 1]?.from ?? 0) > to + 1) at -= 1
    let first = at
    const merged = { from, to }
    while (first > 0 && (runs[first - 1]?.to ?? 0) >= from - 1) {
      first -= 1
      const run = runs[first]
      if (run === undefined) break
      merged.from = Math.min(merged.from, run.from)
      merged.to = Math.max(merged.to, run.to)
    }
    runs.splice(first, at - first, merged)
  }

  /** What of `[from, to]` is not in it. */
  missing(from: number, to: number): Run[] {
    const missing: Run[] = []
    let next = from
    for (const run of this.#runs) {
      if (run.to < next) continue
      if (run.from > to) break
      if (run.from > next) missing.push({ from: next, to: run.from - 1 })
      next = run.to + 1
    }
    if (next <= to) missing.push({ from: next, to })
    return missing
  }
}
