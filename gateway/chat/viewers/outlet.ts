import type { ContractError } from '../errors.ts'
import type { Frame } from './frame.ts'

/** Of steps: past it no further one is queued for a connection. */
export const unsentMaxBytes = 256 * 1024
/** Below it a connection that was full goes on. */
export const unsentLowBytes = 64 * 1024
/** Of everything: past it the connection is too slow. */
export const unsentLimitBytes = 1024 * 1024

export type Transport = 'websocket' | 'sse'

/** The wire of one connection. Knows nothing of sessions; tells its viewer when it has drained. */
export interface Outlet {
  readonly transport: Transport
  /** Of this node's run, for the events of its beginning and end; 0: they are not told. */
  readonly connection: number
  /** Where the roster has it; -1: it is not in there. */
  place: number
  /** Bytes that have not left this process. */
  unsent(): number
  write(frame: Frame): void
  /** What is written inside leaves in one piece where it can: a syscall a frame is most of what a frame costs. */
  together(write: () => void): void
  /** Looked after by the wheel, about once a second: pings, deadlines. */
  visit(nowMs: number): void
  /** Its viewer has sent `live`. */
  isLive(): void
  /** Says why, then closes. */
  refuse(error: ContractError): void
  /** Closes with a code; a stream just ends. */
  end(code: number): void
  /** The node drains: come back elsewhere. */
  sendAway(): void
}
