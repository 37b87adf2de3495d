import type { ContractError } from '#gateway/chat/errors.ts'
import type { Frame } from '#gateway/chat/viewers/frame.ts'
import type { Outlet } from '#gateway/chat/viewers/outlet.ts'
import type { Viewer } from '#gateway/chat/viewers/viewer.ts'

/** The wire of a connection that is as full as the test says. */
export class PlainOutlet implements Outlet {
  readonly transport = 'websocket'
  readonly connection = 0
  readonly frames: Frame[] = []
  place = -1
  viewer: Viewer | null = null
  waitingBytes = 0
  endedWith: number | null = null
  refusedWith: ContractError | null = null
  visits = 0

  unsent(): number {
    return this.waitingBytes
  }
  write(frame: Frame): void {
    this.frames.push(frame)
  }
  together(write: () => void): void {
    write()
  }
  visit(): void {
    this.visits += 1
  }
  isLive(): void {
    // Nobody waits for it.
  }
  refuse(error: ContractError): void {
    this.refusedWith = error
  }
  end(code: number): void {
    this.endedWith = code
  }
  sendAway(): void {
    this.end(1012)
  }

  /** Its bytes leave, down to so many. */
  drainTo(bytes: number): void {
    this.waitingBytes = bytes
    this.viewer?.wake()
  }

  bodies(type?: string): Record<string, unknown>[] {
    return this.frames
      .filter((frame) => type === undefined || frame.type === type)
      .map((frame) => JSON.parse(frame.json) as Record<string, unknown>)
  }
}
