import type { Port } from '#db/remote-messages.ts'
import type { Log } from '#runtime/log.ts'
import type { Dependency } from '../health.ts'
import {
  type BackOfficeConfig,
  type FromBackOffice,
  messageOf,
  tell,
} from './back-office-messages.ts'

interface ThreadInput {
  config: BackOfficeConfig
  log: Log
  /** The thread has ended, by itself or not. */
  lost(reason: string): void
}

const restartFirstMs = 500
const restartMaxMs = 30_000
/** One that ran so long was well: the next failure is a first one. */
const wellMs = 60_000
/** A new Postgres holds its thread for some seconds, and two busy cores for longer. */
const silentMs = 15_000
const stopMaxMs = 9_000
/**
 * A thread that is still making its Postgres hears nothing for seconds and has nothing in hand, so it may be cut off. Not
 * earlier than this: a thread that is cut off while its WebAssembly is compiled now and then holds up the whole process.
 */
const makingMs = 2_000

/**
 * Runs the thread, again whenever it ends. As a port it reaches whichever thread runs now; what is said to none is lost.
 * Never two at a time: two of them would ruin Postgres' folder.
 */
export class BackOfficeThread implements Port {
  readonly #input: ThreadInput
  readonly #listeners = new Set<(event: MessageEvent) => void>()
  #worker: Worker | null = null
  #timer: NodeJS.Timeout | null = null
  #failures = 0
  #startedMs = 0
  #heardMs = 0
  #isReady = false
  #isStopping = false
  #trouble = 'has not started'
  #groups: Record<string, Dependency> | null = null
  #ended: () => void = () => undefined

  constructor(input: ThreadInput) {
    this.#input = input
  }

  start(): void {
    if (this.#worker !== null || this.#isStopping) return
    this.#trouble = 'is starting'
    this.#startedMs = performance.now()
    this.#heardMs = this.#startedMs
    const worker = new Worker(new URL('./back-office.ts', import.meta.url).href)
    this.#worker = worker
    worker.addEventListener('message', (event) => this.#hear(event))
    worker.addEventListener('error', (event) => {
      this.#input.log.error('the back office failed', { reason: event.message })
      this.#trouble = event.message
    })
    worker.addEventListener('close', () => this.#closed())
    tell(worker, { is: 'start', config: this.#input.config })
  }

  postMessage(message: unknown): void {
    this.#worker?.postMessage(message)
  }

  addEventListener(_type: 'message', listener: (event: MessageEvent) => void): void {
    this.#listeners.add(listener)
  }

  removeEventListener(_type: 'message', listener: (event: MessageEvent) => void): void {
    this.#listeners.delete(listener)
  }

  /** Whether it runs and answers. */
  life(): Dependency {
    const silence = performance.now() - this.#heardMs
    if (!this.#isReady) return { state: 'down', reason: this.#trouble }
    if (silence < silentMs) return { state: 'up' }
    return { state: 'down', reason: `has said nothing for ${Math.round(silence / 1_000)} s` }
  }

  consumers(): Dependency {
    const life = this.life()
    if (life.state !== 'up') return life
    if (this.#groups === null) return { state: 'down', reason: 'are starting' }
    const down = Object.entries(this.#groups).filter(([, { state }]) => state === 'down')
    if (down.length === 0) return { state: 'up' }
    const reasons = down.map(([group, { reason }]) => `${group}: ${reason ?? 'down'}`)
    return { state: 'down', reason: reasons.join('; ') }
  }

  async stop(): Promise<void> {
    this.#isStopping = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    const worker = this.#worker
    if (worker === null) return
    const ended = new Promise<void>((resolve) => {
      this.#ended = resolve
    })
    tell(worker, { is: 'stop' })
    const ranMs = performance.now() - this.#startedMs
    const patienceMs = this.#isReady ? stopMaxMs : Math.max(0, makingMs - ranMs)
    const late = setTimeout(() => {
      if (this.#isReady) this.#input.log.error('the back office did not end in time')
      worker.terminate()
    }, patienceMs)
    const tooLate = setTimeout(() => this.#ended(), stopMaxMs)
    await ended
    clearTimeout(late)
    clearTimeout(tooLate)
  }

  #hear(event: MessageEvent): void {
    this.#heardMs = performance.now()
    const message = messageOf<FromBackOffice>(event.data)
    if (message === null) {
      for (const listener of [...this.#listeners]) listener(event)
      return
    }
    if (message.is === 'health') this.#groups = message.groups
    else if (message.is === 'failed') this.#trouble = message.message
    else if (message.is === 'stopped') this.#worker?.terminate()
    else {
      this.#isReady = true
      this.#input.log.info('the back office runs', {
        ms: Math.round(performance.now() - this.#startedMs),
      })
    }
  }

  #closed(): void {
    const { log, lost } = this.#input
    const ranMs = performance.now() - this.#startedMs
    this.#worker = null
    this.#isReady = false
    this.#groups = null
    if (this.#isStopping) {
      lost('is stopped')
      this.#ended()
      return
    }
    this.#failures = ranMs >= wellMs ? 1 : this.#failures + 1
    const waitMs = Math.min(restartMaxMs, restartFirstMs * 2 ** Math.min(this.#failures - 1, 10))
    this.#trouble = `ended (${this.#trouble}), starts again`
    lost(this.#trouble)
    log.error('the back office ended, starting it again', { waitMs, failures: this.#failures })
    this.#timer = setTimeout(() => {
      this.#timer = null
      this.start()
    }, waitMs)
  }
}
