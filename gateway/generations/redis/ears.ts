import type { Live, LogStep, Watch } from '../generations.ts'
import { chunkOf } from './entries.ts'

type Listener = (live: Live) => void

interface Ear {
  sessionId: string
  /** All but chunks. */
  channel: string
  deltas: string
  hearsDeltas: boolean
  listeners: Set<Listener>
  subscribed: Promise<void> | null
  /** The newest step that was heard. */
  epoch: number
  seq: number
  /** The newest step of this process that came by the channel before it was heard. */
  echoEpoch: number
  echoSeq: number
  movedAtMs: number
  /** The channel says that it moved on, by this process. */
  isMoveEchoed: boolean
}

export interface EarsOptions {
  /** Names this process in what it publishes. */
  origin: string
  baseOf(sessionId: string): string
  subscribe(sessionId: string, channels: string[]): Promise<void>
  unsubscribe(channel: string): void
  /** Whether the chunks of a session come from this process: then they are heard without the channel. */
  isOwned(sessionId: string): boolean
  /** Somebody else ends an answer that may be this process's. */
  onClaimed(messageId: string): void
}

/** A step of this process that came by the channel is heard by its reply; without one by then, it is looked for. */
const echoMs = 250
const retryMs = 500
/** Between the base of a channel and its session. */
const mark = '}:c:'

/**
 * Who listens to the live steps of a session in this process. What this process does itself is heard when its command is
 * answered, so before its caller goes on; what others do comes by the channel. Both move one position, and what stands
 * at or below it is dropped.
 */
export class Ears implements Disposable {
  readonly #options: EarsOptions
  readonly #ears = new Map<string, Ear>()
  readonly #echoed = new Set<Ear>()
  #timer: Timer | null = null

  constructor(options: EarsOptions) {
    this.#options = options
  }

  has(sessionId: string): boolean {
    return this.#ears.has(sessionId)
  }

  sessions(): string[] {
    return [...this.#ears.keys()]
  }

  async watch(sessionId: string, listener: Listener): Promise<Watch> {
    const ear = this.#ears.get(sessionId) ?? this.#newEar(sessionId)
    // An own one for each, so that a listener may be there twice.
    const own: Listener = (live) => listener(live)
    ear.listeners.add(own)
    const close = () => {
      if (ear.listeners.delete(own) && ear.listeners.size === 0) this.#drop(ear)
    }
    ear.subscribed ??= this.#subscribe(ear)
    try {
      await ear.subscribed
    } catch (error) {
      ear.subscribed = null
      close()
      throw error
    }
    return { close }
  }

  /** Of this process, or of another: heard once, in order. */
  steps(sessionId: string, epoch: number, steps: LogStep[], at?: number): void {
    const ear = this.#ears.get(sessionId)
    const last = steps.at(-1)
    if (ear === undefined || last === undefined) return
    if (epoch < ear.epoch || (epoch === ear.epoch && last.seq <= ear.seq)) return
    const seen = epoch === ear.epoch ? ear.seq : 0
    const fresh = (steps[0]?.seq ?? 0) > seen ? steps : steps.filter((step) => step.seq > seen)
    ear.epoch = epoch
    ear.seq = last.seq
    deliver(ear, { type: 'steps', epoch, steps: fresh, ...(at !== undefined && { at }) })
  }

  say(sessionId: string, live: Live): void {
    const ear = this.#ears.get(sessionId)
    if (ear === undefined) return
    if (live.type === 'moved') ear.movedAtMs = performance.now()
    deliver(ear, live)
  }

  /** Its chunks begin, or cease, to come from this process. What falls in between leaves a gap, which is seen. */
  ownedChanged(sessionId: string): void {
    const ear = this.#ears.get(sessionId)
    const isWanted = !this.#options.isOwned(sessionId)
    if (ear === undefined || ear.subscribed === null || ear.hearsDeltas === isWanted) return
    ear.hearsDeltas = isWanted
    if (!isWanted) {
      this.#options.unsubscribe(ear.deltas)
      return
    }
    this.#options.subscribe(sessionId, [ear.deltas]).catch(() => {
      ear.hearsDeltas = false
      setTimeout(() => this.ownedChanged(sessionId), retryMs).unref()
    })
  }

  /** Something of these may have gone by. */
  missed(isOf: (channel: string) => boolean): void {
    for (const ear of [...this.#ears.values()]) {
      if (isOf(ear.channel)) this.say(ear.sessionId, { type: 'moved' })
    }
  }

  /** A message: who says it, what it is, and what goes with that. */
  message(channel: string, message: string): void {
    const ear = this.#ears.get(channel.slice(channel.indexOf('}:') + mark.length))
    if (ear === undefined) return
    const { origin } = this.#options
    const isOwn = message.startsWith(origin) && message.charCodeAt(origin.length) === 0
    const type = message[message.indexOf('\0') + 1] ?? ''
    if (isOwn) {
      this.#echo(ear, type, message)
      return
    }
    const parts = message.split('\0')
    const [, , first = '', second = '', third = '', fourth = ''] = parts
    switch (type) {
      case 'c':
        this.steps(ear.sessionId, Number(first), chunksOf(parts))
        return
      case 's':
      case 'd': {
        const step = type === 's' ? ('started' as const) : ('done' as const)
        const seq = Number(second)
        this.steps(ear.sessionId, Number(first), [
          { type: step, seq, messageId: third, frame: fourth },
        ])
        return
      }
      case 'e':
        this.steps(ear.sessionId, Number(first), [
          { type: 'erased', seq: Number(second), frame: third },
        ])
        return
      case 'k':
        this.#options.onClaimed(first)
        this.say(ear.sessionId, controlOf(type, first, second))
        return
      case 't':
        this.say(ear.sessionId, controlOf(type, first, second))
        return
      case 'm':
        this.say(ear.sessionId, { type: 'moved' })
    }
  }

  [Symbol.dispose](): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#ears.clear()
  }

  #newEar(sessionId: string): Ear {
    const base = this.#options.baseOf(sessionId)
    const ear: Ear = {
      sessionId,
      channel: `${base}c:${sessionId}`,
      deltas: `${base}d:${sessionId}`,
      hearsDeltas: false,
      listeners: new Set(),
      subscribed: null,
      epoch: 0,
      seq: 0,
      echoEpoch: 0,
      echoSeq: 0,
      movedAtMs: Number.NEGATIVE_INFINITY,
      isMoveEchoed: false,
    }
    this.#ears.set(sessionId, ear)
    return ear
  }

  #drop(ear: Ear): void {
    if (this.#ears.get(ear.sessionId) !== ear) return
    this.#ears.delete(ear.sessionId)
    if (ear.subscribed !== null) this.#options.unsubscribe(ear.channel)
    if (ear.hearsDeltas) this.#options.unsubscribe(ear.deltas)
  }

  async #subscribe(ear: Ear): Promise<void> {
    const { subscribe, isOwned } = this.#options
    ear.hearsDeltas = !isOwned(ear.sessionId)
    await subscribe(ear.sessionId, ear.hearsDeltas ? [ear.channel, ear.deltas] : [ear.channel])
    this.ownedChanged(ear.sessionId)
  }

  #echo(ear: Ear, type: string, message: string): void {
    if (type === 'k' || type === 't') return
    if (type === 'm') {
      ear.isMoveEchoed = true
      this.#listenFor(ear)
      return
    }
    const from = this.#options.origin.length + 3
    const afterEpoch = message.indexOf('\0', from)
    const epoch = Number(message.slice(from, afterEpoch))
    const seq = Number(message.slice(afterEpoch + 1, message.indexOf('\0', afterEpoch + 1)))
    if (epoch < ear.epoch || (epoch === ear.epoch && seq <= ear.seq)) return
    ear.echoEpoch = epoch
    ear.echoSeq = seq
    this.#listenFor(ear)
  }

  #listenFor(ear: Ear): void {
    this.#echoed.add(ear)
    this.#timer ??= setTimeout(() => {
      this.#timer = null
      const echoed = [...this.#echoed]
      this.#echoed.clear()
      for (const each of echoed) {
        if (!isCaughtUp(each)) this.say(each.sessionId, { type: 'moved' })
        each.isMoveEchoed = false
      }
    }, echoMs)
  }
}

/** Whether all that came by the channel was heard. */
function isCaughtUp(ear: Ear): boolean {
  if (ear.isMoveEchoed && performance.now() - ear.movedAtMs > echoMs * 4) return false
  return ear.echoEpoch < ear.epoch || (ear.echoEpoch === ear.epoch && ear.echoSeq <= ear.seq)
}

function controlOf(type: 'k' | 't', messageId: string, word: string): Live {
  if (type === 'k') {
    return {
      type: 'claimed',
      messageId,
      intent: word as Extract<Live, { type: 'claimed' }>['intent'],
    }
  }
  return { type: 'status', messageId, status: word as Extract<Live, { type: 'status' }>['status'] }
}

/** `origin, c, epoch, last seq, first seq, first index, messageId`, then code and text of each chunk. */
function chunksOf(parts: string[]): LogStep[] {
  const steps: LogStep[] = []
  let seq = Number(parts[4])
  let chunkIndex = Number(parts[5])
  const messageId = parts[6] ?? ''
  for (let at = 7; at < parts.length; at += 2) {
    steps.push(chunkOf({ seq, messageId, chunkIndex }, Number(parts[at]), parts[at + 1] ?? ''))
    seq += 1
    chunkIndex += 1
  }
  return steps
}

function deliver(ear: Ear, live: Live): void {
  for (const listener of [...ear.listeners]) {
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
