import type { Live, WatchOptions } from '../generations.ts'

type Listener = (live: Live) => void

interface Hearer {
  listener: Listener
  only: Live['type'] | null
  isClosed: boolean
}

/** Lists are made anew with each change: one that is being heard by stays as it is. */
interface Hearers {
  all: readonly Hearer[]
  /** Those of `all` that have use for steps. */
  steps: readonly Hearer[]
}

type Steps = Extract<Live, { type: 'steps' }>

/** Who hears the live steps of a session in this process. What is said waits until `deliver`, so that a step that was not stored is never heard. */
export interface Watchers {
  add(sessionId: string, listener: Listener, options?: WatchOptions): () => void
  has(sessionId: string): boolean
  /** Those who would hear steps of it, for `saySteps`; null when there are none. */
  ofSteps(sessionId: string): readonly Hearer[] | null
  /** As `say`, without looking for them again. */
  saySteps(hearers: readonly Hearer[], live: Steps): void
  /** Queued; a mark of `waiting()` and `forget(mark)` take back what came after it. */
  say(sessionId: string, live: Live): void
  sayAll(live: Live): void
  waiting(): number
  forget(mark: number): void
  deliver(): void
}

export function createWatchers(): Watchers {
  const sessions = new Map<string, Hearers>()
  // Side by side: no object a step.
  const queue: Live[] = []
  const queueHearers: (readonly Hearer[])[] = []
  let head = 0
  let delivering = false

  function set(sessionId: string, all: readonly Hearer[]): void {
    if (all.length === 0) sessions.delete(sessionId)
    else sessions.set(sessionId, { all, steps: all.filter(({ only }) => isFor(only, 'steps')) })
  }

  function say(sessionId: string, live: Live): void {
    const hearers = sessions.get(sessionId)
    if (hearers !== undefined) put(hearers.all, live)
  }

  function put(hearers: readonly Hearer[], live: Live): void {
    queue.push(live)
    queueHearers.push(hearers)
  }

  function cut(length: number): void {
    queue.length = length
    queueHearers.length = length
  }

  return {
    add(sessionId, listener, { only = null } = {}) {
      const hearer: Hearer = { listener, only, isClosed: false }
      set(sessionId, [...(sessions.get(sessionId)?.all ?? []), hearer])
      return () => {
        if (hearer.isClosed) return
        hearer.isClosed = true
        const all = sessions.get(sessionId)?.all ?? []
        set(
          sessionId,
          all.filter((each) => each !== hearer),
        )
      }
    },
    has: (sessionId) => sessions.has(sessionId),
    ofSteps(sessionId) {
      const steps = sessions.get(sessionId)?.steps
      return steps === undefined || steps.length === 0 ? null : steps
    },
    saySteps: put,
    say,
    sayAll(live) {
      for (const sessionId of sessions.keys()) say(sessionId, live)
    },
    waiting: () => queue.length,
    forget(mark) {
      cut(Math.min(queue.length, mark))
    },
    // A listener may make a step of its own: its steps queue behind those that are being heard.
    deliver() {
      if (delivering) return
      delivering = true
      while (head < queue.length) {
        const live = queue[head]
        const hearers = queueHearers[head]
        head += 1
        if (live !== undefined && hearers !== undefined) hear(hearers, live)
      }
      cut(0)
      head = 0
      delivering = false
    },
  }
}

function isFor(only: Live['type'] | null, type: Live['type']): boolean {
  return only === null || only === type
}

function hear(hearers: readonly Hearer[], live: Live): void {
  for (const hearer of hearers) {
    if (hearer.isClosed || !isFor(hearer.only, live.type)) continue
    try {
      hearer.listener(live)
    } catch (error) {
      // One listener's bug must not keep the step from the others; it still is a bug, so it ends up uncaught.
      queueMicrotask(() => {
        throw error
      })
    }
  }
}
