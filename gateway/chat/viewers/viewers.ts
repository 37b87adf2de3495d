import { uuidv7 } from '#runtime/ids.ts'
import type { Log } from '#runtime/log.ts'
import type { Generations, SessionRef } from '../../generations/generations.ts'
import type { Asks } from '../asks.ts'
import type { Sessions } from '../sessions.ts'
import { FreeEvents } from './free-events.ts'
import { type ViewerMetrics, viewerMetrics } from './metrics.ts'
import type { Outlet, Transport } from './outlet.ts'
import { Reconciliation } from './reconciliation.ts'
import { Room } from './room.ts'
import type { Viewer } from './viewer.ts'
import { Wheel } from './wheel.ts'

export interface ViewersTiming {
  /** From a ping to the close of a socket that says nothing. */
  pongMs: number
  /** Between two comments on an SSE stream. */
  commentMs: number
  /** Without a byte leaving, a connection is too slow. */
  stallMs: number
  /** Between two looks at the top of a session that is watched. */
  reconcileMs: number
  /** Over which a drain spreads its closes. */
  drainMs: number
}

const defaultTiming: ViewersTiming = {
  pongMs: 10_000,
  commentMs: 15_000,
  stallMs: 30_000,
  reconcileMs: 5_000,
  drainMs: 2_000,
}

export interface ViewersDeps {
  generations: Generations
  sessions: Sessions
  asks: Pick<Asks, 'viewersChanged'>
  nodeId: string
  heartbeatMs: number
  log: Log
  now?: () => number
  /** From 0 to 1, for jitter. */
  random?: () => number
  timing?: Partial<ViewersTiming>
}

/** All connections of this node, of whatever transport, and the sessions that they watch. */
export class Viewers {
  readonly generations: Generations
  readonly sessions: Sessions
  readonly nodeId: string
  readonly heartbeatMs: number
  readonly log: Log
  readonly now: () => number
  readonly random: () => number
  readonly timing: ViewersTiming
  readonly events: FreeEvents
  readonly metrics: ViewerMetrics
  readonly #asks: Pick<Asks, 'viewersChanged'>
  readonly #rooms = new Map<string, Room>()
  readonly #wheel: Wheel
  readonly #reconciliation: Reconciliation
  readonly #counts: Record<Transport, number> = { websocket: 0, sse: 0 }
  readonly #runId: string
  #connections = 0
  #isDraining = false

  constructor(deps: ViewersDeps) {
    this.generations = deps.generations
    this.sessions = deps.sessions
    this.#asks = deps.asks
    this.nodeId = deps.nodeId
    this.heartbeatMs = deps.heartbeatMs
    this.log = deps.log
    this.now = deps.now ?? Date.now
    this.random = deps.random ?? Math.random
    this.timing = { ...defaultTiming, ...deps.timing }
    this.#runId = uuidv7(this.now())
    this.events = new FreeEvents(deps.generations, deps.nodeId)
    this.metrics = viewerMetrics(() => this.#counts)
    const shortestMs = Math.min(this.heartbeatMs, ...Object.values(this.timing))
    this.#wheel = new Wheel(Math.min(1_000, shortestMs / 4), this.now)
    this.#reconciliation = new Reconciliation(this, this.#rooms)
  }

  /** No new connections; those that are there are being sent away. */
  get isDraining(): boolean {
    return this.#isDraining
  }

  /** Open connections by transport. */
  get counts(): Readonly<Record<Transport, number>> {
    return this.#counts
  }

  /** Watched sessions. */
  get roomCount(): number {
    return this.#rooms.size
  }

  room(sessionId: string): Room {
    let room = this.#rooms.get(sessionId)
    if (room === undefined) {
      room = new Room(this, sessionId)
      this.#rooms.set(sessionId, room)
    }
    return room
  }

  /** The viewer begins to watch, in the room that it was just made with: a room that was left is not entered again. */
  join(viewer: Viewer, session: SessionRef): void {
    const { room, outlet } = viewer
    room.session = session
    room.add(viewer)
    this.#wheel.add(outlet)
    this.#counts[outlet.transport] += 1
    this.#reconciliation.start()
    if (viewer.isCounted) this.#asks.viewersChanged(session, room.counted)
    if (outlet.connection !== 0) {
      this.events.tell('CLIENT_CONNECTED', session, this.now(), this.#fieldsOf(outlet))
    }
    viewer.follow(true)
  }

  /** The connection is gone; of one that has left before, nothing. `code`: of a WebSocket's close. */
  leave(viewer: Viewer, code?: number): void {
    if (viewer.isClosed) return
    viewer.isClosed = true
    const { room, outlet } = viewer
    room.remove(viewer)
    this.#wheel.remove(outlet)
    this.#counts[outlet.transport] -= 1
    if (room.viewers.length === 0 && this.#rooms.get(room.sessionId) === room) {
      this.#rooms.delete(room.sessionId)
      room.close()
    }
    if (this.#rooms.size === 0) this.#reconciliation.stop()
    viewer.wake()
    const { session } = room
    if (session === null) return
    // Whom a drain sends away is on the way to another node: they have not abandoned anything.
    if (viewer.isCounted && !this.#isDraining) {
      this.#asks.viewersChanged(session, room.counted)
    }
    if (outlet.connection === 0) return
    const fields = { ...this.#fieldsOf(outlet), code }
    this.events.tell('CLIENT_DISCONNECTED', session, this.now(), fields)
  }

  /** Resolves once every connection has been sent away, spread over `drainMs`. */
  async drain(): Promise<void> {
    this.#isDraining = true
    const outlets = this.#wheel.all()
    const startMs = performance.now()
    let sent = 0
    while (sent < outlets.length) {
      const passed = (performance.now() - startMs) / this.timing.drainMs
      const due = Math.min(outlets.length, Math.ceil(outlets.length * passed))
      for (; sent < due; sent += 1) outlets[sent]?.sendAway()
      if (sent < outlets.length) await Bun.sleep(Math.min(50, this.timing.drainMs / 20))
    }
    this.events.flush()
  }

  /** For a connection that came past the drain's look: nothing stays open. */
  closeAll(): void {
    for (const outlet of this.#wheel.all()) outlet.sendAway()
    this.events.flush()
    this.metrics.stop()
  }

  /** A number and not yet an id: ten thousand idle connections hold no string for it. */
  nextConnection(): number {
    this.#connections += 1
    return this.#connections
  }

  #fieldsOf({ transport, connection }: Outlet): { transport: Transport; connectionId: string } {
    return { transport, connectionId: `${this.#runId}-${connection}` }
  }

  /** Told once per connection that reads too slowly. */
  slow(outlet: Outlet): void {
    this.metrics.slowClient(outlet.transport)
  }
}

/** Timers run only while somebody is connected. */
export function createViewers(deps: ViewersDeps): Viewers {
  return new Viewers(deps)
}
