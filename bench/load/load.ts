import { cpuSecondsOf } from '../process.ts'
import { dueOf, nowMs, tokenLength } from '../source.ts'
import { Latencies } from '../stats.ts'

/** What a load is told. `nodes`: where clients connect, in turn. */
export interface LoadOptions {
  nodes: string[]
  /** Of the gateways, and of the Redis that works for them. */
  pids: number[]
  redisPids: number[]
  epochMs: number
  clients: number
  tokensPerSecond: number
  tokens: number
  others: number
  secret: string
}

export function loadOptions(): LoadOptions {
  return JSON.parse(process.argv[2] ?? '{}') as LoadOptions
}

export function report(result: Record<string, number | string>): never {
  process.stdout.write(`${JSON.stringify(result)}\n`)
  process.exit(0)
}

/** What one viewer has seen of one answer: each token once and in order, or not. */
export class Seen {
  readonly #options: LoadOptions
  readonly #everyMs: number
  #lastDueMs = 0
  count = 0
  lost = 0
  doubled = 0
  seq = 0
  epoch = ''
  isDone = false

  constructor(options: LoadOptions) {
    this.#options = options
    this.#everyMs = 1_000 / options.tokensPerSecond
  }

  get cursor(): string {
    return `${this.epoch}-${this.seq}`
  }

  get isWhole(): boolean {
    return this.isDone && this.count === this.#options.tokens && this.lost + this.doubled === 0
  }

  /** Takes a frame; calls back for each new token with its due time. */
  take(frame: string, token: (dueMs: number) => void): 'live' | 'chunk' | 'done' | 'other' {
    const type = typeOf(frame)
    if (type === 'live') {
      const at = frame.indexOf('"cursor":"') + 10
      const [epoch = '', seq = '0'] = frame.slice(at, frame.indexOf('"', at)).split('-')
      this.epoch = epoch
      this.seq = Number(seq)
      return type
    }
    const seqAt = frame.lastIndexOf('"seq":')
    if (seqAt !== -1) this.seq = Number.parseInt(frame.slice(seqAt + 6), 10)
    if (type === 'chunk') this.#tokens(frame, token)
    if (type === 'done') this.isDone = true
    return type
  }

  #tokens(frame: string, token: (dueMs: number) => void): void {
    const from = frame.indexOf('"text":"') + 8
    const to = frame.indexOf('"', from)
    for (let at = from; at < to; at += tokenLength) {
      const dueMs = dueOf(frame.slice(at, at + tokenLength), this.#options.epochMs)
      const steps = this.count === 0 ? 1 : Math.round((dueMs - this.#lastDueMs) / this.#everyMs)
      if (steps < 1) {
        this.doubled += 1
        continue
      }
      this.lost += steps - 1
      this.#lastDueMs = dueMs
      this.count += 1
      token(dueMs)
    }
  }
}

function typeOf(frame: string): 'live' | 'chunk' | 'done' | 'other' {
  if (frame.startsWith('{"type":"chunk"')) return 'chunk'
  if (frame.startsWith('{"type":"live"')) return 'live'
  if (frame.startsWith('{"type":"done"')) return 'done'
  return 'other'
}

/** Latencies and CPU between two instants, when everything is under way. */
export class Window {
  readonly latencies = new Latencies()
  readonly #options: LoadOptions
  #fromMs = Number.POSITIVE_INFINITY
  #toMs = Number.POSITIVE_INFINITY
  #gatewaySeconds = 0
  #redisSeconds = 0

  constructor(options: LoadOptions) {
    this.#options = options
  }

  open(): void {
    this.#fromMs = nowMs()
    this.#gatewaySeconds = -cpuSecondsOfAll(this.#options.pids)
    this.#redisSeconds = -cpuSecondsOfAll(this.#options.redisPids)
  }

  close(): void {
    this.#toMs = nowMs()
    this.#gatewaySeconds += cpuSecondsOfAll(this.#options.pids)
    this.#redisSeconds += cpuSecondsOfAll(this.#options.redisPids)
  }

  add(dueMs: number): void {
    if (dueMs >= this.#fromMs && dueMs < this.#toMs) this.latencies.add(nowMs() - dueMs)
  }

  get figures() {
    const seconds = (this.#toMs - this.#fromMs) / 1_000
    const { count } = this.latencies
    const cpuSeconds = this.#gatewaySeconds + this.#redisSeconds
    return {
      p50: this.latencies.quantile(0.5),
      p99: this.latencies.quantile(0.99),
      perSecond: Math.round(count / seconds),
      cpuUs: (cpuSeconds * 1e6) / count,
      ...(this.#options.redisPids.length > 0 && { redisUs: (this.#redisSeconds * 1e6) / count }),
      core: cpuSeconds / seconds,
    }
  }
}

function cpuSecondsOfAll(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuSecondsOf(pid), 0)
}

/** Runs `work` for 0 to `count`, at most `atOnce` at a time. */
export async function inParallel(
  count: number,
  atOnce: number,
  work: (at: number) => Promise<void>,
): Promise<void> {
  let next = 0
  const worker = async () => {
    while (next < count) {
      const at = next
      next += 1
      await work(at)
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, worker))
}

export async function untilTrue(isTrue: () => boolean, timeoutMs: number): Promise<boolean> {
  const endMs = nowMs() + timeoutMs
  while (!isTrue()) {
    if (nowMs() > endMs) return false
    await Bun.sleep(5)
  }
  return true
}
