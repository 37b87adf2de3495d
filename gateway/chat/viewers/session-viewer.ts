import { protocolVersion } from '#client/frames.ts'
import type { Cursor, ReadResult, Snapshot } from '../../generations/generations.ts'
import type { Who } from '../asks.ts'
import { ContractError } from '../errors.ts'
import { unavailable } from '../reached.ts'
import { Frame, framesOf, liveFrame, plainFrame, statusFrame } from './frame.ts'
import type { Outlet } from './outlet.ts'
import type { Room } from './room.ts'
import {
  type ActiveAnswer,
  readBytesMax,
  readStepsMax,
  type SnapshotReason,
  Viewer,
} from './viewer.ts'

/** Tries of a connection that has shown nothing yet, about 4 s; one that has goes on trying. */
const joinFailuresMax = 8
const goneMs = 10

interface Given {
  who: Who
  /** As the client sent it; null: none. */
  cursorText: string | null
  /** null: none, or none that can be read. */
  cursor: Cursor | null
}

/** A connection that watches a whole session. */
export class SessionViewer extends Viewer {
  who: Who
  /** Of a connection with a cursor, until its outcome is told. */
  #cursorText: string | null
  #joinedAtMs: number
  /** What the client has been told: nothing, that its cursor holds, everything up to its place. */
  #phase: 'new' | 'resuming' | 'live' = 'new'

  constructor(room: Room, outlet: Outlet, { who, cursorText, cursor }: Given) {
    super(room, outlet)
    this.who = who
    this.#cursorText = cursorText
    this.#joinedAtMs = cursorText === null ? 0 : room.hub.now()
    if (cursor === null) return
    this.epoch = cursor.epoch
    this.seq = cursor.seq
  }

  override get isCounted(): boolean {
    return true
  }

  /** `live` has been sent. */
  get isLive(): boolean {
    return this.#phase === 'live'
  }

  protected override get comesBack(): boolean {
    return this.#phase === 'new'
  }

  protected override began(result: Extract<ReadResult, { is: 'steps' }>): void {
    if (this.#phase !== 'new') return
    this.#phase = 'resuming'
    this.#welcome('resumed')
    this.#tellRecovery('resumed', undefined, result.top - this.seq)
  }

  protected override caughtUp(active: ActiveAnswer | null | undefined): Promise<void> | undefined {
    if (this.#phase !== 'resuming') return undefined
    if (active === undefined) return this.#lookForActive()
    if (active !== null) this.#sendStatus(active)
    this.#sendLive()
    return undefined
  }

  async #lookForActive(): Promise<void> {
    const { hub, sessionId } = this.room
    const snapshot = await hub.generations.snapshot(sessionId)
    if (!this.isClosed) await this.caughtUp(snapshot?.active ?? null)
  }

  protected override async refused(reason: SnapshotReason): Promise<void> {
    const { hub, sessionId } = this.room
    this.mustRead = false
    const snapshot = await hub.generations.snapshot(sessionId)
    if (this.isClosed || this.isAsking) {
      this.mustRead = true
      return
    }
    if (snapshot === null) {
      this.mustRead = true
      await hub.sessions.open(this.who, sessionId)
      // Should it be gone again, it is not asked for without end.
      await Bun.sleep(goneMs)
      return
    }
    const isFresh = this.#phase === 'new' && this.#cursorText === null
    const missed = snapshot.epoch === this.epoch ? Math.max(0, snapshot.seq - this.seq) : 0
    this.#tellRecovery('snapshot', reason, missed)
    this.#phase = 'resuming'
    // Until the snapshot is whole there is no place to go on from: whatever happens, it begins anew.
    this.epoch = 0
    const { active } = snapshot
    this.outlet.together(() => {
      this.#welcome(isFresh ? 'fresh' : 'snapshot', isFresh ? undefined : reason)
      this.send(historyFrame(snapshot))
      if (active === null) this.#reached(snapshot)
      else this.#sendStatus(active)
    })
    if (active === null) return
    if (await this.#sendChunks(snapshot, active.startedSeq)) this.#reached(snapshot)
    else this.mustRead = true
  }

  protected override failed(failures: number, error: unknown): boolean {
    const { log } = this.room.hub
    if (error instanceof ContractError && !error.temporary) {
      this.outlet.refuse(error)
      return false
    }
    if (failures === 1) log.warn('a session could not be read', { error })
    if (this.#phase === 'live' || failures < joinFailuresMax) return true
    this.outlet.refuse(
      error instanceof ContractError ? error : unavailable('The session is out of reach.'),
    )
    return false
  }

  /** The chunks of the active answer. False when the log changed under them: begin anew. */
  async #sendChunks({ epoch, seq }: Snapshot, startedSeq: number): Promise<boolean> {
    const { hub, sessionId } = this.room
    let after = startedSeq
    while (after < seq) {
      await this.drained()
      const place = { epoch, seq: after }
      const read = await hub.generations.read(sessionId, place, readStepsMax, readBytesMax)
      if (this.isClosed || read.is !== 'steps' || read.steps.length === 0) return false
      const chunks = read.steps.filter((step) => step.seq <= seq && step.type === 'chunk')
      for (const frame of framesOf(epoch, chunks, { isNumbered: false })) this.send(frame)
      after = read.steps.at(-1)?.seq ?? seq
    }
    return true
  }

  #reached({ epoch, seq }: Cursor): void {
    this.epoch = epoch
    this.seq = seq
    this.#sendLive()
  }

  #welcome(start: 'fresh' | 'resumed' | 'snapshot', reason?: SnapshotReason): void {
    const { hub, sessionId } = this.room
    const { nodeId, heartbeatMs } = hub
    const { userId } = this.who
    const protocol = protocolVersion
    const welcome = { sessionId, userId, nodeId, protocol, heartbeatMs, start, reason }
    this.send(plainFrame({ type: 'welcome', ...welcome }))
  }

  #sendStatus({ messageId, status }: ActiveAnswer): void {
    const frame = statusFrame(messageId, status)
    this.send(frame)
    // What the room heard is the same: once is enough.
    this.status = this.room.status?.json === frame.json ? this.room.status : null
  }

  #sendLive(): void {
    this.#phase = 'live'
    this.send(liveFrame({ epoch: this.epoch, seq: this.seq }))
    if (this.#joinedAtMs !== 0) {
      this.room.hub.metrics.resumed(this.room.hub.now() - this.#joinedAtMs)
      this.#joinedAtMs = 0
    }
    this.outlet.isLive()
  }

  #tellRecovery(result: 'resumed' | 'snapshot', reason: string | undefined, missed: number): void {
    const { hub, session } = this.room
    const cursor = this.#cursorText
    this.#cursorText = null
    if (cursor === null || session === null) return
    const success = result === 'resumed'
    const { transport } = this.outlet
    const fields = { cursor, result, success, reason, missed, transport }
    hub.events.tell('RECOVERY_ATTEMPT', session, hub.now(), fields)
  }
}

function historyFrame({ history, hasOlder, active }: Snapshot): Frame {
  const shown = active && {
    messageId: active.messageId,
    userMessageId: active.userMessageId,
    model: active.model,
  }
  const nextBefore = hasOlder ? history[0]?.messageId : undefined
  const body = { type: 'history', messages: history, active: shown, nextBefore }
  return new Frame('history', JSON.stringify(body))
}
