export type TokenSource = string | (() => Promise<string>)

/** The token in use and where the next one comes from. */
export class Tokens {
  readonly #source: TokenSource | undefined
  #current: string | undefined
  #asked: Promise<string> | null = null

  constructor(source: TokenSource | undefined) {
    this.#source = source
    if (typeof source === 'string') this.#current = source
  }

  /** Whether another token can be had than the one in use. */
  get renewable(): boolean {
    return typeof this.#source === 'function'
  }

  /** When the token in use ends; null when it doesn't say. */
  get expiresAtMs(): number | null {
    return this.#current === undefined ? null : expiryOf(this.#current)
  }

  /** The token in use; asks for one when there is none or it is about to end. */
  async get(nowMs: number, marginMs: number): Promise<string | undefined> {
    const expiresAtMs = this.expiresAtMs
    const isStale = expiresAtMs !== null && expiresAtMs - marginMs <= nowMs
    if (this.#current !== undefined && !(isStale && this.renewable)) return this.#current
    return this.renewable ? await this.renew() : undefined
  }

  /** Another token; callers at the same time share one question. */
  async renew(): Promise<string | undefined> {
    if (typeof this.#source !== 'function') return this.#current
    this.#asked ??= this.#source().finally(() => {
      this.#asked = null
    })
    this.#current = await this.#asked
    return this.#current
  }
}

/** `exp` of a JWT in milliseconds, unverified: that is the server's part. */
export function expiryOf(token: string): number | null {
  const payload = token.split('.')[1]
  if (payload === undefined) return null
  try {
    const claims: unknown = JSON.parse(atob(payload.replaceAll('-', '+').replaceAll('_', '/')))
    const exp = (claims as { exp?: unknown } | null)?.exp
    return typeof exp === 'number' ? exp * 1000 : null
  } catch {
    // Not a JWT that we can read: it is sent as it is, without a refresh ahead of time.
    return null
  }
}

/** Asks for the next token before the one in use ends, and hands it over. Returns how to stop. */
export function keepFresh(
  tokens: Tokens,
  marginMs: number,
  handOver: (token: string) => void,
): () => void {
  let isOver = false
  let timer: ReturnType<typeof setTimeout> | undefined
  const later = () => {
    const expiresAtMs = tokens.expiresAtMs
    if (isOver || expiresAtMs === null || !tokens.renewable) return
    // At least a second, so that a short token is no busy loop; at most a day, for a longer timer overflows.
    const delayMs = expiresAtMs - marginMs - Date.now()
    timer = setTimeout(refresh, Math.min(Math.max(delayMs, 1000), 86_400_000))
  }
  const refresh = () => {
    const before = tokens.expiresAtMs
    tokens.get(Date.now(), marginMs).then(
      (token) => {
        if (!isOver && token !== undefined && tokens.expiresAtMs !== before) handOver(token)
        later()
      },
      // The old one is in force until its end; then the server says so.
      () => later(),
    )
  }
  later()
  return () => {
    isOver = true
    clearTimeout(timer)
  }
}
