import { leewayMs } from '../../auth/token-verifier.ts'
import type { Who } from '../../chat/asks.ts'
import { ContractError } from '../../chat/errors.ts'
import { errorFrame, type Frame } from '../../chat/viewers/frame.ts'
import { type Outlet, unsentLimitBytes } from '../../chat/viewers/outlet.ts'
import type { Viewer } from '../../chat/viewers/viewer.ts'
import type { Viewers } from '../../chat/viewers/viewers.ts'
import type { Slot } from '../../limits/limits.ts'

export const streamHeaders = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache, no-transform',
  'x-accel-buffering': 'no',
}

const encoder = new TextEncoder()
const begin = encoder.encode('retry: 1000\n\n')
const comment = encoder.encode(': ping\n\n')
/** Nothing is pulled ahead: `pull` then means that all that was queued has left. */
const strategy = new ByteLengthQueuingStrategy({ highWaterMark: 0 })
const retryMs = 1_000
const retrySpreadMs = 4_000

interface Opened {
  viewers: Viewers
  who: Who
  slot: Slot | null
  /** Of `nextConnection`; 0: beginning and end are not told. */
  connection: number
}

/** One SSE stream. It is its own source, so that an idle one has no closure and no timer. */
export class EventStream implements Outlet {
  readonly connection: number
  place = -1
  viewer: Viewer | null = null
  readonly #viewers: Viewers
  readonly #slot: Slot | null
  /** Once the token would be refused. */
  readonly #expiresAtMs: number
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null
  #commentAtMs: number
  #stalledAtMs = 0
  #unsentBefore = 0
  #held: Uint8Array[] | null = null

  constructor({ viewers, who, slot, connection }: Opened) {
    this.connection = connection
    this.#viewers = viewers
    this.#slot = slot
    this.#expiresAtMs = (who.expiresAtMs ?? Number.POSITIVE_INFINITY) + leewayMs
    this.#commentAtMs = viewers.now() + viewers.timing.commentMs
  }

  get transport(): 'sse' {
    return 'sse'
  }

  /** The answer to the request; once. */
  open(): Response {
    return new Response(new ReadableStream(this, strategy), { headers: streamHeaders })
  }

  start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#controller = controller
    controller.enqueue(begin)
  }

  pull(): void {
    this.#stalledAtMs = 0
    this.viewer?.wake()
  }

  cancel(): void {
    this.#gone()
  }

  unsent(): number {
    return -(this.#controller?.desiredSize ?? 0)
  }

  write(frame: Frame): void {
    if (this.#held === null) this.#controller?.enqueue(frame.event)
    else this.#held.push(frame.event)
  }

  together(write: () => void): void {
    this.#held = []
    write()
    this.#letGo()
  }

  #letGo(): void {
    const held = this.#held ?? []
    this.#held = null
    if (held.length > 0) this.#controller?.enqueue(Buffer.concat(held))
  }

  visit(nowMs: number): void {
    const { timing } = this.#viewers
    const unsent = this.unsent()
    if (unsent === 0) this.#stalledAtMs = 0
    else if (this.#stalledAtMs === 0 || unsent < this.#unsentBefore) this.#stalledAtMs = nowMs
    this.#unsentBefore = unsent
    const isStalled = this.#stalledAtMs > 0 && nowMs - this.#stalledAtMs >= timing.stallMs
    if (isStalled || unsent > unsentLimitBytes) {
      this.#viewers.slow(this)
      this.#cut()
    } else if (nowMs >= this.#expiresAtMs) {
      this.end()
    } else if (nowMs >= this.#commentAtMs) {
      this.#commentAtMs = nowMs + timing.commentMs
      if (unsent === 0) this.#controller?.enqueue(comment)
    }
  }

  isLive(): void {
    // Nothing of the client waits for it.
  }

  refuse(error: ContractError): void {
    this.write(errorFrame(error))
    this.#letGo()
    this.#controller?.enqueue(encoder.encode(retryLine(this.#viewers)))
    this.end()
  }

  sendAway(): void {
    this.refuse(draining())
  }

  end(): void {
    this.#letGo()
    const controller = this.#controller
    this.#gone()
    // null: it has failed by itself.
    if (controller !== null && controller.desiredSize !== null) controller.close()
  }

  /** What waits is dropped: who does not read would hold it for as long as the kernel believes in the connection. */
  #cut(): void {
    const controller = this.#controller
    this.#gone()
    controller?.error(new Error('the reader is too slow'))
  }

  #gone(): void {
    if (this.#controller === null) return
    this.#controller = null
    this.#slot?.release()
    if (this.viewer !== null) this.#viewers.leave(this.viewer)
  }
}

/** Overload and drain are told in the stream: a status other than 200 would stop an `EventSource` for good. */
export function refusedStream(viewers: Viewers, error: ContractError): Response {
  const text = `event: error\ndata: ${errorFrame(error).json}\n\n${retryLine(viewers)}`
  return new Response(text, { headers: streamHeaders })
}

export function draining(): ContractError {
  return new ContractError('unavailable', 'This node is going away.', { retryAfterMs: 1_000 })
}

function retryLine(viewers: Viewers): string {
  return `retry: ${retryMs + Math.floor(viewers.random() * retrySpreadMs)}\n\n`
}
