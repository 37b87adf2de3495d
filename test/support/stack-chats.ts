import { atEnd } from './tracker.ts'
import { until } from './until.ts'
import { Watcher } from './watcher.ts'

const againMs = 150
const openMs = 4_000

/**
 * A question and its answer as a client of the protocol has them, which comes back with its cursor whenever its
 * connection is gone, and asks again by the same key as long as nobody has said that the question was accepted.
 */
export class StackChat {
  readonly watcher: Watcher
  readonly requestId: string
  readonly content: string
  readonly #url: string
  #isLeaving = false
  #sawErrors = 0
  /** When it was last without a connection, and for how long. */
  readonly gapsMs: number[] = []
  readonly ran: Promise<void>

  constructor(url: string, sessionId: string, content: string) {
    this.#url = url
    this.content = content
    this.watcher = new Watcher(sessionId)
    this.requestId = `request-${sessionId}`
    this.ran = this.#run()
    atEnd(() => this.leave())
  }

  get messageId(): string | undefined {
    return this.watcher.accepted.get(this.requestId)?.messageId
  }

  get text(): string {
    const answer = this.watcher.answers.get(this.messageId ?? '')
    return (answer?.chunks ?? []).filter((_, at) => answer?.kinds[at] === 'text').join('')
  }

  get outcome(): string | undefined {
    return this.watcher.answers.get(this.messageId ?? '')?.done?.outcome
  }

  async leave(): Promise<void> {
    this.#isLeaving = true
    await this.ran
    await this.watcher.close()
  }

  async #run(): Promise<void> {
    let lostAtMs = 0
    while (!this.#isLeaving && this.outcome === undefined) {
      if (this.watcher.isLive) {
        this.#askAgain()
        await Bun.sleep(25)
        continue
      }
      lostAtMs ||= performance.now()
      if (await this.#connect()) {
        this.gapsMs.push(performance.now() - lostAtMs)
        lostAtMs = 0
        if (this.messageId === undefined) this.#ask()
      } else await Bun.sleep(againMs)
    }
  }

  async #connect(): Promise<boolean> {
    try {
      await this.watcher.close()
      await this.watcher.connect(this.#url)
      await until(() => this.watcher.isLive || this.#isLeaving, { timeoutMs: openMs })
      return this.watcher.isLive
    } catch {
      return false
    }
  }

  #ask(): void {
    this.watcher.send({ type: 'chat', content: this.content, requestId: this.requestId })
  }

  /** What was refused for now. */
  #askAgain(): void {
    const { errors } = this.watcher
    if (errors.length === this.#sawErrors || this.messageId !== undefined) return
    this.#sawErrors = errors.length
    setTimeout(() => this.#ask(), againMs)
  }
}

/** So many chats at once; each answer takes about so many seconds. */
export function startChats(
  url: string,
  name: string,
  { count, seconds }: { count: number; seconds: number },
): StackChat[] {
  const question = `/long ${seconds * 30}`
  return Array.from({ length: count }, (_, at) => new StackChat(url, `${name}-${at}`, question))
}

/** Each once. */
export function outcomesOf(chats: readonly StackChat[]): (string | undefined)[] {
  return [...new Set(chats.map(({ outcome }) => outcome))].sort()
}

export const areAccepted = (chats: readonly StackChat[]) =>
  until(() => chats.every(({ messageId }) => messageId !== undefined), {
    timeoutMs: 20_000,
    what: 'every question is accepted',
  })

export const haveText = (chats: readonly StackChat[]) =>
  until(() => chats.every(({ text }) => text.length > 0), {
    timeoutMs: 20_000,
    what: 'every answer has begun',
  })

export const haveEnded = (chats: readonly StackChat[], timeoutMs = 60_000) =>
  until(() => chats.every(({ outcome }) => outcome !== undefined), {
    ...{ timeoutMs, everyMs: 50 },
    what: 'every answer has ended',
  })
