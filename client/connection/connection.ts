import type { ChatError } from '../chat-error.ts'
import { type ClientFrame, closeCodes, type ErrorFrame, type ServerFrame } from '../frames.ts'
import { messageOf } from '../rest.ts'
import type { Link, LinkEnd, LinkListener, TransportName } from './link.ts'
import { probeWebSocket } from './probe.ts'
import { isForGood, refusal } from './refusal.ts'
import { backOff, type Timing } from './timing.ts'
import { keepFresh, type Tokens } from './token.ts'
import type { TransportChoice } from './transport-choice.ts'
import { isOffline, onWakeUp } from './wake-up.ts'

export type ConnectionState = 'connecting' | 'open' | 'reconnecting' | 'offline' | 'closed'

export interface ConnectionOptions {
  open(transport: TransportName, token: string | undefined, listener: LinkListener): Link
  choice: TransportChoice
  tokens: Tokens
  timing: Timing
  random: () => number
  frame(frame: ServerFrame): void
  changed(): void
  /** Nothing is being made or sent: a good moment to look at the WebSocket again. */
  isIdle(): boolean
}

/** Keeps one link alive: which transport, when to come back, when to give up. Knows nothing of messages. */
export class Connection {
  readonly #options: ConnectionOptions
  readonly #forgetWakeUp: () => void
  #state: ConnectionState = 'connecting'
  #reason: ChatError | null = null
  #link: Link | null = null
  /** Grows with each try, so that what a former one still says is not heard. */
  #attempt = 0
  #tries = 0
  #heard = 0
  #heardAtMs = 0
  #hasFrame = false
  #lastError: ErrorFrame | null = null
  #hasRenewed = false
  #retryTimer: ReturnType<typeof setTimeout> | undefined
  #silenceTimer: ReturnType<typeof setTimeout> | undefined
  #stopRefresh: () => void = () => undefined
  #stopProbe: () => void = () => undefined

  constructor(options: ConnectionOptions) {
    this.#options = options
    this.#forgetWakeUp = onWakeUp(() => this.wake())
  }

  get state(): ConnectionState {
    return this.#state
  }

  /** Why it is closed for good. */
  get reason(): ChatError | null {
    return this.#reason
  }

  get transport(): TransportName | null {
    return this.#link?.transport ?? null
  }

  connect(): void {
    this.#drop()
    const attempt = ++this.#attempt
    const { tokens, timing, choice, open } = this.#options
    const transport = choice.next()
    tokens
      .get(Date.now(), timing.refreshMs)
      .then((token) => {
        if (attempt !== this.#attempt) return
        this.#link = open(transport, token, this.#listen(attempt, transport))
        this.#watchSilence(choice.patienceMs(transport), () => {
          choice.ended(transport, { answered: this.#hasFrame, timedOut: true })
          this.#retry({ message: 'The connection fell silent.' })
        })
        this.#options.changed()
      })
      .catch((error: unknown) => {
        if (attempt === this.#attempt) this.#retry({ message: messageOf(error) })
      })
  }

  /** False when the link can't carry it (SSE, or there is none). */
  send(frame: ClientFrame): boolean {
    return this.#link?.send(frame) ?? false
  }

  /** Everything that was to come has come. */
  caughtUp(): void {
    this.#tries = 0
    this.#hasRenewed = false
    this.#setState('open')
  }

  /** Something is missing: begin again. */
  restart(message: string): void {
    if (this.#state !== 'closed') this.#retry({ message })
  }

  /** The network or the page came back, or the user asks: try now; if it seems open, prove it. */
  wake(): void {
    if (this.#state === 'closed') return
    if (this.#state !== 'open') {
      if (this.#retryTimer !== undefined) this.connect()
      return
    }
    const attempt = this.#attempt
    const heard = this.#heard
    // SSE can't be asked.
    if (!this.send({ type: 'ping' })) {
      this.#retry({ message: 'Woke up.' }, 0)
      return
    }
    setTimeout(() => {
      const isSilent = attempt === this.#attempt && this.#heard === heard
      if (isSilent && this.#state === 'open') this.#retry({ message: 'No answer.' }, 0)
    }, this.#options.timing.wakeMs)
  }

  close(reason: ChatError): void {
    if (this.#state === 'closed') return
    this.#drop()
    this.#attempt += 1
    this.#forgetWakeUp()
    this.#reason = reason
    this.#setState('closed')
  }

  #listen(attempt: number, transport: TransportName): LinkListener {
    const isMine = () => attempt === this.#attempt
    return {
      alive: () => {
        if (isMine()) this.#hear()
      },
      frame: (frame) => {
        if (!isMine()) return
        this.#hear()
        this.#hasFrame = true
        this.#read(frame, transport)
      },
      end: (end) => {
        if (!isMine()) return
        const answered = this.#hasFrame || end.status !== undefined
        this.#options.choice.ended(transport, { answered, timedOut: false })
        this.#ended(end)
      },
    }
  }

  #read(frame: ServerFrame, transport: TransportName): void {
    if (frame.type === 'ping') this.send({ type: 'pong' })
    if (frame.type === 'error' && frame.requestId === undefined) this.#lastError = frame
    if (frame.type === 'welcome') this.#welcomed(frame.heartbeatMs, transport)
    this.#options.frame(frame)
  }

  #welcomed(heartbeatMs: number, transport: TransportName): void {
    const { choice, tokens, timing, open, isIdle } = this.#options
    choice.worked(transport)
    this.#lastError = null
    // SSE says something each 15 s, whatever the heartbeat of the sockets is.
    const beatMs = transport === 'sse' ? Math.max(heartbeatMs, 15_000) : heartbeatMs
    this.#watchSilence(beatMs + timing.graceMs, () =>
      this.#retry({ message: 'The connection fell silent.' }),
    )
    this.#stopRefresh()
    this.#stopRefresh = keepFresh(tokens, timing.refreshMs, (token) =>
      this.send({ type: 'auth', token }),
    )
    this.#stopProbe()
    if (choice.probeAfterMs === null) return
    this.#stopProbe = probeWebSocket({
      choice,
      timing,
      isIdle,
      open: async (listener) =>
        open('websocket', await tokens.get(Date.now(), timing.refreshMs), listener),
      found: () => this.#retry({ message: 'Back to the WebSocket.' }, 0),
    })
  }

  #ended(end: LinkEnd): void {
    const { tokens } = this.#options
    const error = this.#lastError
    const isExpired = end.closeCode === closeCodes.tokenExpired
    const isUnknown =
      end.closeCode === closeCodes.notAuthenticated ||
      end.status === 401 ||
      error?.code === 'not_authenticated'
    if ((isUnknown || isExpired) && tokens.renewable && !this.#hasRenewed) this.#renew()
    else if (isForGood(end) || (!isExpired && (isUnknown || error?.code === 'forbidden'))) {
      this.close(refusal(end, error))
    } else {
      const retryAfterMs = error?.retryAfterMs
      this.#retry({ ...(retryAfterMs !== undefined && { retryAfterMs }), ...end })
    }
  }

  /** The token was refused: one try with another. */
  #renew(): void {
    this.#drop()
    const attempt = ++this.#attempt
    this.#hasRenewed = true
    this.#setState(this.#state === 'open' ? 'reconnecting' : this.#state)
    this.#options.tokens.renew().then(
      () => {
        if (attempt === this.#attempt) this.connect()
      },
      (cause: unknown) => {
        if (attempt !== this.#attempt) return
        this.#hasRenewed = false
        this.#retry({ message: messageOf(cause) })
      },
    )
  }

  #retry(end: LinkEnd, delayMs = this.#delayMs(end)): void {
    this.#drop()
    this.#attempt += 1
    this.#tries += 1
    this.#retryTimer = setTimeout(() => this.connect(), delayMs)
    const isFirst = this.#state === 'connecting'
    this.#setState(isOffline() ? 'offline' : isFirst ? 'connecting' : 'reconnecting')
  }

  #delayMs(end: LinkEnd): number {
    const { timing, random, choice } = this.#options
    if (choice.hasTurned) return 0
    return (end.retryAfterMs ?? 0) + backOff(timing, this.#tries, random)
  }

  /** One timer, set again only when it fires: nothing is done for each frame. */
  #watchSilence(allowedMs: number, silent: () => void): void {
    const check = () => {
      const restMs = this.#heardAtMs + allowedMs - Date.now()
      if (restMs <= 0) silent()
      else this.#silenceTimer = setTimeout(check, restMs)
    }
    clearTimeout(this.#silenceTimer)
    this.#heardAtMs = Date.now()
    this.#silenceTimer = setTimeout(check, allowedMs)
  }

  #hear(): void {
    this.#heard += 1
    this.#heardAtMs = Date.now()
  }

  #drop(): void {
    clearTimeout(this.#retryTimer)
    clearTimeout(this.#silenceTimer)
    this.#stopRefresh()
    this.#stopProbe()
    this.#retryTimer = undefined
    this.#link?.close()
    this.#link = null
    this.#hasFrame = false
    this.#lastError = null
  }

  #setState(state: ConnectionState): void {
    this.#state = state
    this.#options.changed()
  }
}
