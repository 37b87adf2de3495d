import { deferred } from '../deferred.ts'
import type { Link, LinkListener } from './link.ts'
import type { Timing } from './timing.ts'
import type { TransportChoice } from './transport-choice.ts'

export interface ProbeOptions {
  choice: TransportChoice
  timing: Timing
  /** Opens a WebSocket that only shall show that it passes. */
  open(listener: LinkListener): Promise<Link>
  isIdle(): boolean
  found(): void
}

/** On a way round a blocked WebSocket: tries it now and then, while nothing is at work. Returns how to stop. */
export function probeWebSocket(options: ProbeOptions): () => void {
  const { choice, timing, isIdle, found } = options
  let isOver = false
  let timer: ReturnType<typeof setTimeout>
  const later = () => {
    if (!isOver) timer = setTimeout(probe, choice.probeAfterMs ?? timing.probeMaxMs)
  }
  const probe = () => {
    if (!isIdle()) return later()
    passes(options).then(
      (works) => {
        if (isOver) return
        choice.probed(works)
        if (works && isIdle()) found()
        else later()
      },
      () => later(),
    )
  }
  later()
  return () => {
    isOver = true
    clearTimeout(timer)
  }
}

async function passes({ open, timing }: ProbeOptions): Promise<boolean> {
  const { promise, resolve } = deferred<boolean>()
  const timer = setTimeout(() => resolve(false), timing.openMs)
  const link = await open({
    alive: () => undefined,
    frame: (frame) => resolve(frame.type === 'welcome'),
    end: () => resolve(false),
  })
  const works = await promise
  clearTimeout(timer)
  link.close()
  return works
}
