import type { Live } from '../generations.ts'

type Listener = (live: Live) => void

/** Who hears the live steps of a session in this process. What is said waits until `deliver`, so that a step that was not stored is never heard. */
export interface Watchers {
  add(sessionId: string, listener: Listener): () => void
  has(sessionId: string): boolean
  /** Queued; a mark of `waiting()` and `forget(mark)` take back what came after it. */
  say(sessionId: string, live: Live): void
  sayAll(live: Live): void
  waiting(): number
  forget(mark: number): void
  deliver(): void
}

export function createWatchers(): Watchers {
  const listeners = new Map<string, Set<Listener>>()
  const queue: { sessionId: string; live: Live }[] = []
  let head = 0
  let delivering = false

  function say(sessionId: string, live: Live): void {
    if (listeners.has(sessionId)) queue.push({ sessionId, live })
  }

  function hear(sessionId: string, live: Live): void {
    for (const listener of listeners.get(sessionId) ?? []) {
      try {
        listener(live)
      } catch (error) {
        // One listener's bug must not keep the step from the others; it still is a bug, so it ends up uncaught.
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }

  return {
    add(sessionId, listener) {
      const set = listeners.get(sessionId) ?? new Set()
      listeners.set(sessionId, set.add(listener))
      return () => {
        set.delete(listener)
        if (set.size === 0 && listeners.get(sessionId) === set) listeners.delete(sessionId)
      }
    },
    has: (sessionId) => listeners.has(sessionId),
    say,
    sayAll(live) {
      for (const sessionId of listeners.keys()) say(sessionId, live)
    },
    waiting: () => queue.length,
    forget(mark) {
      queue.length = Math.min(queue.length, mark)
    },
    // A listener may make a step of its own: its steps queue behind those that are being heard.
    deliver() {
      if (delivering) return
      delivering = true
      while (head < queue.length) {
        const next = queue[head]
        head += 1
        if (next !== undefined) hear(next.sessionId, next.live)
      }
      queue.length = 0
      head = 0
      delivering = false
    },
  }
}
