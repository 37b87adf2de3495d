import { closeCodes } from '#client/frames.ts'
import { leewayMs } from '../../auth/token-verifier.ts'
import type { Who } from '../../chat/asks.ts'
import type { ContractError } from '../../chat/errors.ts'
import { errorFrame, type Frame, pingFrame } from '../../chat/viewers/frame.ts'
import { type Outlet, unsentLimitBytes, unsentLowBytes } from '../../chat/viewers/outlet.ts'
import { SessionViewer } from '../../chat/viewers/session-viewer.ts'
import type { Viewers } from '../../chat/viewers/viewers.ts'
import type { Cursor, SessionRef } from '../../generations/generations.ts'
import type { Slot } from '../../limits/limits.ts'
import type { ClientFrame } from './client-frame.ts'
import { closeCodeOf } from './close-code.ts'

/** How long a closed socket whose peer does not read, or is gone, may take its last bytes away before it is cut. */
const lingerMs = 5_000

/** Why a socket was closed, for people. */
const reasons: Record<number, string> = {
  [closeCodes.draining]: 'the node drains',
  [closeCodes.tokenExpired]: 'token expired',
  [closeCodes.tooSlow]: 'too slow',
  [closeCodes.noPong]: 'no pong',
  [closeCodes.tooMany]: 'too many',
  [closeCodes.malformed]: 'malformed',
  [closeCodes.notAuthenticated]: 'not authenticated',
  [closeCodes.notYourSession]: 'not your session',
  [closeCodes.frameTooLarge]: 'frame too large',
  [closeCodes.badSubprotocol]: 'unknown sub-protocol',
}

export type ChatFrame = Extract<ClientFrame, { type: 'chat' }>

/** Who was let in, and to what. */
export interface Admitted {
  viewers: Viewers
  incoming: { proceed(socket: Socket): void }
  who: Who
  session: SessionRef
  slot: Slot
  /** null: none. */
  cursorText: string | null
  cursor: Cursor | null
}

/** One WebSocket of a session, `ws.data` of Bun's. An idle one has no timer, no closure and no queue. */
export class Socket implements Outlet {
  readonly connection: number
  readonly session: SessionRef
  readonly viewers: Viewers
  readonly viewer: SessionViewer
  place = -1
  /** null: closed. */
  ws: Bun.ServerWebSocket<SocketData> | null
  /** Questions that wait for the one that is being asked, or for `live`. */
  waiting: ChatFrame[] | null = null
  /** Frames of the client in the second that began at `secondAtMs`. */
  frames = 0
  secondAtMs = 0
  /** When the last bad frames came. */
  badAtMs: number[] | null = null
  readonly #incoming: Admitted['incoming']
  readonly #slot: Slot
  #pingAtMs: number
  /** 0: no pong is due. */
  #pongByMs = 0
  #isBacklogged = false
  #stalledAtMs = 0
  #unsentBefore = 0

  constructor(ws: Bun.ServerWebSocket<SocketData>, admitted: Admitted) {
    const { viewers, incoming, who, session, slot, cursorText, cursor } = admitted
    this.ws = ws
    this.connection = viewers.nextConnection()
    this.viewers = viewers
    this.session = session
    this.#incoming = incoming
    this.#slot = slot
    this.#pingAtMs = viewers.now() + viewers.heartbeatMs
    const room = viewers.room(session.sessionId)
    this.viewer = new SessionViewer(room, this, { who, cursorText, cursor })
    viewers.join(this.viewer, session)
  }

  get transport(): 'websocket' {
    return 'websocket'
  }

  get isOpen(): boolean {
    return this.ws !== null
  }

  /** A token of the same user takes the place of the one before. */
  renew(who: Who): void {
    this.viewer.who = who
  }

  /** A frame came, whatever it says. */
  heard(): void {
    this.#pongByMs = 0
  }

  unsent(): number {
    return this.#isBacklogged ? (this.ws?.getBufferedAmount() ?? 0) : 0
  }

  write(frame: Frame): void {
    const { ws } = this
    if (ws === null) return
    const sent = ws.send(frame.json)
    if (sent > 0 || ws.readyState !== WebSocket.OPEN) return
    this.#isBacklogged = true
    if (sent === 0 || ws.getBufferedAmount() > unsentLimitBytes) this.#tooSlow()
  }

  together(write: () => void): void {
    if (this.ws === null) return
    this.ws.cork(write)
    // What a corked frame answers says nothing of the socket.
    if (this.ws !== null && this.ws.getBufferedAmount() > 0) this.#isBacklogged = true
  }

  drained(): void {
    const unsent = this.ws?.getBufferedAmount() ?? 0
    this.#stalledAtMs = 0
    if (unsent === 0) this.#isBacklogged = false
    if (unsent < unsentLowBytes) this.viewer.wake()
  }

  visit(nowMs: number): void {
    const { timing, heartbeatMs } = this.viewers
    if (nowMs >= expiryOf(this.viewer.who)) {
      this.end(closeCodes.tokenExpired)
      return
    }
    if (this.#pongByMs > 0 && nowMs >= this.#pongByMs) {
      this.end(closeCodes.noPong)
      return
    }
    if (this.#isBacklogged) {
      const unsent = this.unsent()
      if (this.#stalledAtMs === 0 || unsent < this.#unsentBefore) this.#stalledAtMs = nowMs
      this.#unsentBefore = unsent
      // No ping while bytes wait: its pong could not come in time.
      if (nowMs - this.#stalledAtMs >= timing.stallMs) this.#tooSlow()
      return
    }
    if (this.#pongByMs > 0 || nowMs < this.#pingAtMs) return
    this.#pingAtMs = nowMs + heartbeatMs
    this.#pongByMs = nowMs + timing.pongMs
    this.write(pingFrame)
  }

  isLive(): void {
    if (this.waiting !== null) this.#incoming.proceed(this)
  }

  refuse(error: ContractError, code = closeCodeOf(error.code)): void {
    this.write(errorFrame(error))
    this.end(code)
  }

  sendAway(): void {
    this.end(closeCodes.draining)
  }

  end(code: number): void {
    const { ws } = this
    if (ws === null) return
    this.gone(code)
    ws.close(code, reasons[code] ?? '')
    if (this.#isBacklogged || code === closeCodes.noPong)
      setTimeout(() => ws.terminate(), lingerMs).unref()
  }

  /** The connection is over, whoever ended it. */
  gone(code: number): void {
    if (this.ws === null) return
    this.ws = null
    this.waiting = null
    this.#slot.release()
    this.viewers.leave(this.viewer, code)
  }

  #tooSlow(): void {
    if (this.ws === null) return
    this.viewers.slow(this)
    this.end(closeCodes.tooSlow)
  }
}

/** One that is told at its opening why it is not let in. */
export interface Refused {
  error: ContractError
  code: number
}

/** What the door answered, until the socket opens; nothing once one was refused. */
export type SocketData = Socket | Admitted | Refused

function expiryOf(who: Who): number {
  return (who.expiresAtMs ?? Number.POSITIVE_INFINITY) + leewayMs
}
