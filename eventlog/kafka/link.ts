import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Log } from '#runtime/log.ts'
import { KafkaAway, kafkaErrorOf } from './errors.ts'
import {
  type Frame,
  frameReader,
  jsonFrame,
  jsonOf,
  newFrame,
  said,
  takeLot,
  told,
  version,
} from './frames.ts'

export interface LinkOptions {
  /** What `host/main.mjs` is greeted with. */
  settings: Record<string, unknown>
  log: Log
  /** The `node` to run. */
  node: string
  /** So long without a word, and the process counts as hung. */
  hangMs: number
}

/** What the owner of a link hears. */
export interface LinkEvents {
  /** A new process is ready; nothing of one before it is known to it. */
  up(): void
  /** The process is gone, with all that it had in hand. */
  down(reason: string): void
  frame(frame: Frame): void
  event(event: Record<string, unknown>): void
}

interface Call {
  resolve(result: unknown): void
  reject(error: Error): void
  timer: Timer
}

interface Running {
  process: Bun.Subprocess
  folder: string
  server: Bun.UnixSocketListener<undefined>
  socket: Bun.Socket<undefined> | null
  /** Why it was ended. */
  reason: string | null
}

const script = fileURLToPath(new URL('./host/main.mjs', import.meta.url))
const pings = 5
const startMs = 30_000
const callMs = 12_000
const restartMinMs = 100
const restartMaxMs = 10_000
const steadyMs = 30_000
// Each `consume` that waits holds a thread of the client's pool.
const threads = 64

/** The client's process: started, watched, started again when it dies or hangs; frames and calls to it. */
export class Link {
  readonly #options: LinkOptions
  readonly #events: LinkEvents
  readonly #calls = new Map<number, Call>()
  #running: Running | null = null
  #isReady = false
  #isOver = false
  #nextCall = 1
  #unanswered = 0
  #failures = 0
  #startedAtMs = 0
  #reason = 'the client has not started'
  #waiting: (() => void)[] = []
  #out: Uint8Array[] = []
  #isFlushing = false
  #watch: Timer | null = null
  #restart: Timer | null = null

  constructor(options: LinkOptions, events: LinkEvents) {
    this.#options = options
    this.#events = events
  }

  /** Null: the process is up. */
  get trouble(): string | null {
    return this.#isReady ? null : this.#reason
  }

  get pid(): number | null {
    return this.#running?.process.pid ?? null
  }

  start(): void {
    this.#restart = null
    if (this.#isOver) return
    const folder = mkdtempSync(join(tmpdir(), 'sluice-kafka-'))
    const path = join(folder, 'socket')
    const running: Running = {
      folder,
      socket: null,
      reason: null,
      ...this.#spawn(path, () => running),
    }
    this.#running = running
    this.#startedAtMs = performance.now()
    this.#unanswered = 0
    const everyMs = Math.ceil(this.#options.hangMs / pings)
    this.#watch = setInterval(() => this.#beat(everyMs), everyMs)
    void running.process.exited.then((code) => this.#died(running, code))
  }

  /** Resolves once there is a process to speak to. Rejects with `KafkaAway` when that takes too long. */
  ready(withinMs = callMs): Promise<void> {
    if (this.#isReady) return Promise.resolve()
    if (this.#isOver) return Promise.reject(new KafkaAway('the event log is closed'))
    return new Promise((resolve, reject) => {
      const wake = () => {
        clearTimeout(timer)
        if (this.#isOver) reject(new KafkaAway('the event log is closed'))
        else resolve()
      }
      const timer = setTimeout(() => {
        this.#waiting = this.#waiting.filter((waiting) => waiting !== wake)
        reject(new KafkaAway(this.#reason))
      }, withinMs)
      this.#waiting.push(wake)
    })
  }

  /** The answer of the process that runs now. Rejects with `KafkaAway` when there is none, or when it dies. */
  call(method: string, ask: unknown, withinMs = callMs): Promise<unknown> {
    if (!this.#isReady) return Promise.reject(new KafkaAway(this.#reason))
    const id = this.#nextCall
    this.#nextCall += 1
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#calls.delete(id)
        reject(new KafkaAway(`no answer within ${withinMs} ms (${method})`))
      }, withinMs)
      this.#calls.set(id, { resolve, reject, timer })
      this.send(jsonFrame(told.call, { id, method, ask }))
    })
  }

  /** To the process that runs now; lost when there is none. */
  send(frame: Uint8Array): void {
    if (!this.#isReady) return
    this.#out.push(frame)
    if (this.#out.length > 1) return
    queueMicrotask(() => this.#flush())
  }

  /** Ends the process at once, with all that it has in hand; another one starts. Resolves once the old one is gone. */
  async kill(reason: string, isFault = true): Promise<void> {
    const running = this.#running
    if (running === null) return
    running.reason = reason
    if (!isFault) this.#failures = 0
    running.process.kill('SIGKILL')
    this.#died(running, await running.process.exited)
  }

  async end(): Promise<void> {
    if (this.#isOver) return
    this.#isOver = true
    if (this.#restart !== null) clearTimeout(this.#restart)
    await this.kill('the event log is closed')
    for (const wake of this.#waiting.splice(0)) wake()
  }

  #spawn(path: string, running: () => Running): Pick<Running, 'process' | 'server'> {
    const read = frameReader((frame) => this.#frame(frame))
    const server = Bun.listen<undefined>({
      unix: path,
      socket: {
        open: (socket) => this.#opened(running(), socket),
        data: (_socket, chunk) => read(chunk),
        drain: () => this.#flush(),
        close: () => running().process.kill('SIGKILL'),
      },
    })
    const command = ['env', `UV_THREADPOOL_SIZE=${threads}`, this.#options.node, script, path]
    const child = Bun.spawn(command, { stdin: 'ignore', stdout: 'ignore', stderr: 'pipe' })
    void this.#logErrors(child.stderr)
    return { server, process: child }
  }

  async #logErrors(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder()
    for await (const chunk of stream) {
      const said = decoder.decode(chunk, { stream: true }).trim()
      if (said !== '') this.#options.log.warn('the Kafka client says', { said })
    }
  }

  #opened(running: Running, socket: Bun.Socket<undefined>): void {
    running.socket = socket
    rmSync(running.folder, { recursive: true, force: true })
    this.#out = [jsonFrame(told.hello, { version, ...this.#options.settings })]
    this.#flush()
  }

  #frame(frame: Frame): void {
    this.#unanswered = 0
    if (frame.kind === said.answer) this.#answered(jsonOf(frame) as Answer)
    else if (frame.kind === said.event) this.#events.event(jsonOf(frame) as Record<string, unknown>)
    else if (frame.kind === said.ready) this.#becameReady(jsonOf(frame) as { version: number })
    else if (frame.kind !== said.pong) this.#events.frame(frame)
  }

  #becameReady(greeting: { version: number }): void {
    this.#options.log.info('the Kafka client runs', { pid: this.pid, ...greeting })
    this.#isReady = true
    this.#events.up()
    for (const wake of this.#waiting.splice(0)) wake()
  }

  #answered({ id, result, error }: Answer): void {
    const call = this.#calls.get(id)
    if (call === undefined) return
    this.#calls.delete(id)
    clearTimeout(call.timer)
    if (error === undefined) call.resolve(result)
    else call.reject(kafkaErrorOf(error.message, error.code))
  }

  #flush(): void {
    const socket = this.#running?.socket
    if (!socket || this.#isFlushing) return
    this.#isFlushing = true
    while (this.#out.length > 0) {
      const lot = takeLot(this.#out)
      const written = Math.max(0, socket.write(lot))
      if (written < lot.length) {
        this.#out.unshift(lot.subarray(written))
        break
      }
    }
    this.#isFlushing = false
  }

  // Counted in beats, not in time: a machine that stood still has not made the process hang.
  #beat(everyMs: number): void {
    if (this.#running === null) return
    if (!this.#isReady) {
      if (performance.now() - this.#startedAtMs > startMs)
        void this.kill('the client did not start')
      return
    }
    this.#unanswered += 1
    if (this.#unanswered > pings) void this.kill(`the client hung for ${pings * everyMs} ms`)
    else this.send(newFrame(told.ping, 0))
  }

  #died(running: Running, code: number): void {
    if (this.#running !== running) return
    const reason = running.reason ?? `the client's process ended (${code})`
    this.#running = null
    this.#isReady = false
    this.#reason = reason
    this.#out = []
    if (this.#watch !== null) clearInterval(this.#watch)
    running.server.stop(true)
    rmSync(running.folder, { recursive: true, force: true })
    for (const { reject, timer } of this.#calls.values()) {
      clearTimeout(timer)
      reject(new KafkaAway(reason))
    }
    this.#calls.clear()
    this.#events.down(reason)
    if (this.#isOver) return
    if (performance.now() - this.#startedAtMs > steadyMs) this.#failures = 0
    const waitMs = Math.min(restartMaxMs, restartMinMs * 2 ** this.#failures)
    this.#failures += 1
    this.#options.log.warn('the Kafka client is started again', { reason, waitMs })
    this.#restart = setTimeout(() => this.start(), waitMs)
  }
}

interface Answer {
  id: number
  result?: unknown
  error?: { message: string; code?: number }
}
