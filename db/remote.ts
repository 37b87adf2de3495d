import { type Database, type DatabaseHealth, dbOver, type Run } from './client.ts'
import { DatabaseAway } from './errors.ts'
import {
  type FromHost,
  listenTo,
  type Port,
  type SentError,
  type Statement,
  sendTo,
} from './remote-messages.ts'

const healthMs = 2_500

export interface RemoteOptions {
  /** How long a statement waits for a host that is not there yet; 10 s by default. */
  readyWithinMs?: number
  /** How long a statement may take; 30 s by default. */
  answerWithinMs?: number
}

export interface RemoteDatabase extends Database {
  /** The thread of the host has ended: what is under way fails, and so does what comes, until a host says it is ready. */
  lost(reason: string): void
}

interface Pending {
  resolve(rows: unknown[]): void
  reject(error: Error): void
  timer: NodeJS.Timeout
}

/** A database in another thread, where `hostDatabase` runs our statements. Has no transactions. */
export function remoteDatabase(port: Port, options: RemoteOptions = {}): RemoteDatabase {
  const link = new Link(port, options)
  const run: Run = async (text, params, shape) => {
    await link.ready()
    return link.ask({ text, params, shape })
  }
  return {
    db: dbOver(run),
    transaction: () =>
      Promise.reject(new TypeError('a database of another thread has no transactions')),
    health: () => link.health(),
    lost: (reason) => link.lost(reason),
    async [Symbol.asyncDispose]() {
      link.close()
    },
  }
}

class Link {
  readonly #port: Port
  readonly #readyWithinMs: number
  readonly #answerWithinMs: number
  readonly #stop: () => void
  readonly #pending = new Map<string, Pending>()
  readonly #waiting = new Set<{ resolve(): void; reject(error: Error): void }>()
  /** Null: a host is there. */
  #trouble: string | null = 'not ready yet'
  #isGone = false
  #asked = 0
  // Of one port several may listen: each hears the answers to all.
  readonly #name = crypto.randomUUID()

  constructor(port: Port, { readyWithinMs = 10_000, answerWithinMs = 30_000 }: RemoteOptions) {
    this.#port = port
    this.#readyWithinMs = readyWithinMs
    this.#answerWithinMs = answerWithinMs
    this.#stop = listenTo<FromHost>(port, (message) => this.#hear(message))
    // Whoever hosted before we listened has said so to nobody.
    sendTo(port, { is: 'hello' })
  }

  /** Waits for the host; at once an outage when it is gone. */
  ready(): Promise<void> {
    if (this.#trouble === null) return Promise.resolve()
    if (this.#isGone) return Promise.reject(new DatabaseAway(this.#trouble))
    return new Promise((resolve, reject) => {
      const waiter = {
        resolve: () => settle(resolve),
        reject: (error: Error) => settle(() => reject(error)),
      }
      const settle = (how: () => void) => {
        clearTimeout(timer)
        this.#waiting.delete(waiter)
        how()
      }
      const timer = setTimeout(
        () => waiter.reject(new DatabaseAway('the database is not ready yet')),
        this.#readyWithinMs,
      )
      this.#waiting.add(waiter)
    })
  }

  ask(
    statement: Omit<Statement, 'is' | 'id'>,
    withinMs = this.#answerWithinMs,
  ): Promise<unknown[]> {
    this.#asked += 1
    const id = `${this.#name}/${this.#asked}`
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id)
        reject(new DatabaseAway(`no answer within ${withinMs} ms`))
      }, withinMs)
      this.#pending.set(id, { resolve, reject, timer })
      sendTo(this.#port, { is: 'statement', id, ...statement })
    })
  }

  async health(): Promise<DatabaseHealth> {
    if (this.#trouble !== null) return { state: 'down', reason: this.#trouble }
    try {
      await this.ask({ text: 'select 1', params: [], shape: 'array' }, healthMs)
      return { state: 'up' }
    } catch (error) {
      return { state: 'down', reason: error instanceof Error ? error.message : String(error) }
    }
  }

  lost(reason: string): void {
    this.#trouble = reason
    this.#isGone = true
    const error = new DatabaseAway(reason)
    for (const waiter of [...this.#waiting]) waiter.reject(error)
    for (const id of [...this.#pending.keys()]) this.#take(id)?.reject(error)
  }

  close(): void {
    this.#stop()
    this.lost('closed')
  }

  #hear(message: FromHost): void {
    if (message.is === 'ready') {
      this.#trouble = null
      this.#isGone = false
      for (const waiter of [...this.#waiting]) waiter.resolve()
    } else if (message.is === 'closed') {
      this.lost(message.reason)
    } else if (message.is === 'rows') {
      this.#take(message.id)?.resolve(message.rows)
    } else {
      this.#take(message.id)?.reject(received(message.error))
    }
  }

  #take(id: string): Pending | undefined {
    const pending = this.#pending.get(id)
    if (pending === undefined) return undefined
    this.#pending.delete(id)
    clearTimeout(pending.timer)
    return pending
  }
}

function received({ name, message, code, cause }: SentError): Error {
  const error = new Error(message, cause && { cause: received(cause) })
  error.name = name
  return code === undefined ? error : Object.assign(error, { code })
}
