import { closeCodes, subprotocol } from '#client/frames.ts'
import { uuidv7 } from '#runtime/ids.ts'
import type { Log } from '#runtime/log.ts'
import type { Auth } from '../auth/auth.ts'
import { credentialsOf } from '../auth/credentials.ts'
import type { Asks } from '../chat/asks.ts'
import { ContractError } from '../chat/errors.ts'
import { unavailable } from '../chat/reached.ts'
import { errorFrame } from '../chat/viewers/frame.ts'
import type { Viewers } from '../chat/viewers/viewers.ts'
import type { Limits } from '../limits/limits.ts'
import { errorResponse } from './error-response.ts'
import { invalid, sessionIdOf } from './parse.ts'
import { closeCodeOf } from './socket/close-code.ts'
import { Incoming } from './socket/incoming.ts'
import { type Admitted, type Refused, Socket, type SocketData } from './socket/socket.ts'
import { parseCursor } from './stream/cursor.ts'
import { draining } from './stream/event-stream.ts'

/** A frame up to 1 MiB is refused by us, with a code of ours; past this by Bun, with 1009. */
const payloadBytesMax = 1_048_576 + 65_536

export interface ChatSocketDeps {
  viewers: Viewers
  asks: Pick<Asks, 'ask' | 'cancel'>
  auth: Auth
  limits: Limits
}

export type { SocketData }

export interface ChatSocket {
  /** `GET /ws/chat`. Undefined once the request is a WebSocket; only 426 and 503 are answered by HTTP. */
  upgrade(request: Request, server: Bun.Server<SocketData>): Promise<Response | undefined>
  websocket: Bun.WebSocketHandler<SocketData>
}

export function chatSocket(deps: ChatSocketDeps): ChatSocket {
  const { viewers } = deps
  const { log, now } = viewers
  const doors = { ...deps, incoming: new Incoming({ ...deps, log, now }) }
  const { incoming } = doors
  return {
    async upgrade(request, server) {
      if (request.method !== 'GET' || !isUpgrade(request)) return upgradeRequired()
      if (viewers.isDraining) return errorResponse(draining(), log)
      const offered = offeredProtocols(request)
      const data = await admit(doors, request, offered).catch((error: unknown) =>
        refusedBy(error, log),
      )
      // A browser gives up on an answer without one of the protocols that it offered, and would not see why.
      const protocol = offered.includes(subprotocol) ? subprotocol : offered[0]
      const headers = { ...(protocol && { 'sec-websocket-protocol': protocol }) }
      if (server.upgrade(request, { data, headers })) return undefined
      if ('slot' in data) data.slot.release()
      return upgradeRequired()
    },
    websocket: {
      maxPayloadLength: payloadBytesMax,
      // No limit: past one of its own Bun drops frames. Ours is looked at with each frame that waits.
      backpressureLimit: 0,
      // The heartbeat of the protocol decides: Bun's is reset by whatever is sent.
      idleTimeout: 0,
      sendPings: false,
      open(ws) {
        if ('error' in ws.data) refuse(ws, ws.data)
        else if (!(ws.data instanceof Socket)) ws.data = new Socket(ws, ws.data)
        if (viewers.isDraining && ws.data instanceof Socket) ws.data.sendAway()
      },
      message(ws, message) {
        if (ws.data instanceof Socket && ws.data.isOpen) incoming.message(ws.data, message)
      },
      drain(ws) {
        if (ws.data instanceof Socket) ws.data.drained()
      },
      close(ws, code) {
        if (ws.data instanceof Socket) ws.data.gone(code)
      },
    },
  }
}

async function admit(
  { viewers, auth, limits, incoming }: ChatSocketDeps & { incoming: Incoming },
  request: Request,
  offered: string[],
): Promise<Admitted | Refused> {
  if (offered.length > 0 && !offered.includes(subprotocol)) {
    const error = invalid(`The sub-protocols must name ${subprotocol}.`)
    return { error, code: closeCodes.badSubprotocol }
  }
  const url = new URL(request.url)
  const who = await auth.identify(credentialsOf(request, url))
  const named = url.searchParams.get('sessionId')
  const sessionId = named === null ? uuidv7(viewers.now()) : sessionIdOf(named)
  const cursorText = url.searchParams.get('cursor')
  const cursor = cursorText === null ? null : parseCursor(cursorText)
  if (cursorText !== null && cursor === null) {
    throw invalid('cursor: must be <epoch>-<seq> of a frame of this session', 'cursor')
  }
  const slot = await limits.connect(who)
  try {
    const { session } = await viewers.sessions.open(who, sessionId, { isNew: named === null })
    return { viewers, incoming, who, session, slot, cursorText, cursor }
  } catch (error) {
    slot.release()
    throw error
  }
}

function refusedBy(error: unknown, log: Log): Refused {
  if (error instanceof ContractError) return { error, code: closeCodeOf(error.code) }
  log.error('a connection failed', { error })
  return { error: unavailable('Something went wrong here.'), code: closeCodes.draining }
}

function refuse(ws: Bun.ServerWebSocket<SocketData>, { error, code }: Refused): void {
  ws.send(errorFrame(error).json)
  ws.close(code, error.code)
}

function isUpgrade(request: Request): boolean {
  return request.headers.get('upgrade')?.toLowerCase() === 'websocket'
}

function offeredProtocols(request: Request): string[] {
  const header = request.headers.get('sec-websocket-protocol') ?? ''
  return header
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
}

function upgradeRequired(): Response {
  const error = invalid('This address takes WebSockets only.')
  return Response.json({ error }, { status: 426, headers: { upgrade: 'websocket' } })
}
