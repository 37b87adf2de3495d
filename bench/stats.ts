/** Latencies of a run, kept as counts of 0.05 ms up to 20 s: adding costs the same however many there are. */
export class Latencies {
  readonly #counts = new Uint32Array(400_001)
  #count = 0

  add(ms: number): void {
    const at = ms <= 0 ? 0 : Math.min(400_000, Math.round(ms * 20))
    this.#counts[at] = (this.#counts[at] ?? 0) + 1
    this.#count += 1
  }

  get count(): number {
    return this.#count
  }

  /** Milliseconds; `NaN` of none. */
  quantile(part: number): number {
    if (this.#count === 0) return Number.NaN
    let left = Math.ceil(this.#count * part)
    for (let at = 0; at < this.#counts.length; at += 1) {
      left -= this.#counts[at] ?? 0
      if (left <= 0) return at / 20
    }
    return 20_000
  }
}

/** Rows as a table of equal columns. */
export function tableOf(rows: Record<string, string | number>[]): string {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))]
  const cells = rows.map((row) => names.map((name) => textOf(row[name])))
  const widths = names.map((name, at) =>
    Math.max(name.length, ...cells.map((line) => line[at]?.length ?? 0)),
  )
  const lineOf = (line: string[]) =>
    line
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd()
  return [lineOf(names), ...cells.map(lineOf)].join('\n')
}

function textOf(value: string | number | null | undefined): string {
  // JSON has no NaN: a figure of nothing that was measured.
  if (value === undefined || value === null) return ''
  if (typeof value === 'string' || Number.isInteger(value)) return String(value)
  return value.toFixed(Math.abs(value) < 10 ? 2 : 1)
}
