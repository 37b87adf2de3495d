import { closeCodes } from '#client/frames.ts'
import type { Log } from '#runtime/log.ts'
import { iso } from '#runtime/time.ts'
import type { Auth } from '../../auth/auth.ts'
import type { Asks } from '../../chat/asks.ts'
import { ContractError } from '../../chat/errors.ts'
import { unavailable } from '../../chat/reached.ts'
import { isTheirs } from '../../chat/sessions.ts'
import { plainFrame, pongFrame } from '../../chat/viewers/frame.ts'
import { inRequestSpan } from '../../request-span.ts'
import { invalid } from '../parse.ts'
import { type ClientFrame, clientFrame, objectOf } from './client-frame.ts'
import type { ChatFrame, Socket } from './socket.ts'

const frameBytesMax = 65_536
const framesPerSecondMax = 100
const badFramesMax = 20
const badFramesMs = 10_000
/** Questions of one socket that wait for the one before. */
const waitingMax = 16

const identifier = /^[A-Za-z0-9._:-]{1,128}$/
const overSocket = { transport: 'websocket' }

interface IncomingDeps {
  asks: Pick<Asks, 'ask' | 'cancel'>
  auth: Pick<Auth, 'verify'>
  now(): number
  log: Log
}

/** What clients say on their sockets. Questions of one socket go one after the other; nothing else waits for them. */
export class Incoming {
  readonly #deps: IncomingDeps

  constructor(deps: IncomingDeps) {
    this.#deps = deps
  }

  message(socket: Socket, data: string | Buffer): void {
    socket.heard()
    if (this.#isFlood(socket)) {
      const rule = `Too many: at most ${framesPerSecondMax} frames a second.`
      socket.refuse(new ContractError('rate_limited', rule, { retryAfterMs: 1_000 }))
      return
    }
    if (typeof data !== 'string') {
      socket.refuse(invalid('A frame must be text.'))
      return
    }
    if (data.length > frameBytesMax || Buffer.byteLength(data) > frameBytesMax) {
      socket.refuse(new ContractError('too_large', `A frame is at most ${frameBytesMax} bytes.`))
      return
    }
    const object = objectOf(data)
    if (object === null) {
      socket.refuse(invalid('A frame must be a JSON object.'))
      return
    }
    this.#read(socket, object)
  }

  /** Asks the next question that waits, if it may be asked now. */
  proceed(socket: Socket): void {
    const { viewer, waiting } = socket
    if (waiting === null || !socket.isOpen || viewer.isAsking || !viewer.isLive) return
    const next = waiting.shift()
    if (waiting.length === 0) socket.waiting = null
    if (next === undefined) return
    viewer.isAsking = true
    this.#ask(socket, next)
      .catch((error: unknown) => this.#failed(socket, error, idsOf(next)))
      .finally(() => {
        viewer.isAsking = false
        viewer.wake()
        // Later: what this question let loose goes out before the next one holds it back again.
        if (socket.waiting !== null) setImmediate(() => this.proceed(socket))
      })
  }

  #read(socket: Socket, object: Record<string, unknown>): void {
    let frame: ClientFrame
    try {
      frame = clientFrame(object)
    } catch (error) {
      this.#failed(socket, error, idsOf(object))
      return
    }
    switch (frame.type) {
      case 'ping':
        socket.write(pongFrame)
        return
      case 'pong':
        return
      case 'chat':
        this.#queue(socket, frame)
        return
      case 'cancel': {
        const { messageId } = frame
        this.#cancel(socket, messageId).catch((error: unknown) =>
          this.#failed(socket, error, { messageId }),
        )
        return
      }
      case 'auth':
        this.#renew(socket, frame.token).catch((error: unknown) => this.#failed(socket, error, {}))
    }
  }

  #queue(socket: Socket, frame: ChatFrame): void {
    socket.waiting ??= []
    if (socket.waiting.length >= waitingMax) {
      const error = new ContractError('rate_limited', 'Too many questions wait.', {
        retryAfterMs: 1_000,
      })
      this.#failed(socket, error, idsOf(frame))
      return
    }
    socket.waiting.push(frame)
    this.proceed(socket)
  }

  async #ask(socket: Socket, { ask, requestId }: ChatFrame): Promise<void> {
    const { sessionId } = socket.session
    const accepted = await inRequestSpan({ name: 'chat', attributes: overSocket }, () =>
      this.#deps.asks.ask(socket.viewer.who, { ...ask, sessionId }),
    )
    socket.write(plainFrame({ type: 'accepted', ...(requestId && { requestId }), ...accepted }))
  }

  async #cancel(socket: Socket, messageId: string): Promise<void> {
    const cancelled = await this.#deps.asks.cancel(socket.viewer.who, messageId)
    socket.write(plainFrame({ type: 'cancelled', ...cancelled }))
  }

  async #renew(socket: Socket, token: string): Promise<void> {
    const who = await this.#deps.auth.verify(token)
    if (!isTheirs(who, socket.session)) {
      throw new ContractError('forbidden', 'The token is of another user.')
    }
    socket.renew(who)
    const expiresAt = iso(who.expiresAtMs ?? this.#deps.now())
    socket.write(plainFrame({ type: 'authenticated', expiresAt }))
  }

  #failed(socket: Socket, error: unknown, ids: { requestId?: string; messageId?: string }): void {
    const refusal =
      error instanceof ContractError ? error : unavailable('Something went wrong here.', error)
    if (!(error instanceof ContractError)) this.#deps.log.error('a frame failed', { error })
    socket.write(plainFrame({ type: 'error', ...ids, ...refusal.toJSON() }))
    if (refusal.code === 'invalid_request' && this.#isTooBad(socket)) {
      socket.end(closeCodes.malformed)
    }
  }

  #isFlood(socket: Socket): boolean {
    const nowMs = this.#deps.now()
    if (nowMs - socket.secondAtMs >= 1_000) {
      socket.secondAtMs = nowMs
      socket.frames = 0
    }
    socket.frames += 1
    return socket.frames > framesPerSecondMax
  }

  #isTooBad(socket: Socket): boolean {
    const nowMs = this.#deps.now()
    const recent = (socket.badAtMs ?? []).filter((atMs) => nowMs - atMs < badFramesMs)
    recent.push(nowMs)
    socket.badAtMs = recent
    return recent.length >= badFramesMax
  }
}

/** What an error is about, as far as the frame says it in a form that can be said back. */
function idsOf(frame: object): { requestId?: string; messageId?: string } {
  const requestId = 'requestId' in frame ? frame.requestId : undefined
  const messageId = 'messageId' in frame ? frame.messageId : undefined
  return {
    ...(isIdentifier(requestId) && { requestId }),
    ...(isIdentifier(messageId) && { messageId }),
  }
}

function isIdentifier(value: unknown): value is string {
  return typeof value === 'string' && identifier.test(value)
}
