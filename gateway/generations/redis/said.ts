import { Runs } from '../../chat/answers/runs.ts'
import type { ChunkKind, Cursor, Generation, Generations, LogStep } from '../generations.ts'
import type { Append, Begin, Erase, Finish, Run } from '../steps.ts'
import { chunkOf, codeOf } from './entries.ts'

/** Redis loses up to 2 s in a crash; a failover takes longer to be noticed. */
const keptMs = 30_000
const entriesMax = 5_000
/** Of their texts, in UTF-16 units. */
const unitsMax = 32 * 1024 * 1024
const claimedMax = 1_000
const triesMax = 8
const retryMs = 200
const pageSteps = 1_000
const pageBytes = 1024 * 1024

export interface Saying
  extends Pick<Generations, 'append' | 'claim' | 'finish' | 'erase' | 'open' | 'find' | 'read'> {
  begin(step: Begin, last?: Cursor): ReturnType<Generations['begin']>
}

export interface SaidOptions {
  nodeId: string
  eventContent: 'full' | 'none'
  chunkEventMs: number
}

/** An answer as its owner wrote it, or (without `begin`) as its claimer has read it: the text is in the message of its end. */
export interface Written {
  begin?: Begin
  /** The last step that an event has told. */
  last?: Cursor
  /** Of each chunk. */
  codes: number[]
  lengths: number[]
}

type Entry = { atMs: number } & (
  | { type: 'finish'; step: Finish; written: Written | null }
  | { type: 'erase'; step: Erase }
)

/**
 * What this process ended or erased lately. A Redis that has lost it in a crash or failover is told again: nobody else
 * knows of it any more, and what was shown as ended would be without an end, or get another one.
 */
export class Said implements Disposable {
  readonly #options: SaidOptions
  /** In the order in which they were said first. */
  readonly #entries = new Map<string, Entry>()
  #units = 0
  #isClosed = false
  #again: Promise<void> | null = null
  /** What this process has claimed and not yet ended. */
  readonly #claimed = new Map<string, Written>()

  constructor(options: SaidOptions) {
    this.#options = options
  }

  claimed(messageId: string): void {
    if (this.#claimed.size >= claimedMax) this.#claimed.clear()
    this.#claimed.set(messageId, { codes: [], lengths: [] })
  }

  /** Its claimer reads it: these are the chunks that its end will have. */
  read(steps: readonly LogStep[]): void {
    if (this.#claimed.size === 0) return
    for (const step of steps) {
      if (step.type !== 'chunk') continue
      const written = this.#claimed.get(step.messageId)
      if (written !== undefined) note(written, step.chunkIndex, step)
    }
  }

  finished(step: Finish, own: Written | null): void {
    const written = own ?? this.#claimed.get(step.messageId) ?? null
    this.#claimed.delete(step.messageId)
    this.#add(step.messageId, { atMs: performance.now(), type: 'finish', step, written })
  }

  erased(step: Erase): void {
    this.#add(step.erasureId, { atMs: performance.now(), type: 'erase', step })
  }

  /**
   * Of sessions that this holds for; one after the other, as they were said. What fails, for Redis is out of reach once
   * more, is tried until it is done or nobody has to know it any more.
   */
  async again(to: Saying, isOf: (sessionId: string) => boolean): Promise<void> {
    while (this.#again !== null) await this.#again
    this.#again = this.#sayAll(to, isOf).finally(() => {
      this.#again = null
    })
    await this.#again
  }

  [Symbol.dispose](): void {
    this.#isClosed = true
  }

  #add(id: string, entry: Entry): void {
    this.#forget()
    if (this.#entries.has(id)) return
    this.#entries.set(id, entry)
    this.#units += unitsOf(entry)
  }

  #forget(): void {
    const since = performance.now() - keptMs
    for (const [id, entry] of this.#entries) {
      const isOver = this.#entries.size >= entriesMax || this.#units > unitsMax
      if (entry.atMs >= since && !isOver) return
      this.#entries.delete(id)
      this.#units -= unitsOf(entry)
    }
  }

  async #sayAll(to: Saying, isOf: (sessionId: string) => boolean): Promise<void> {
    this.#forget()
    const sessionOf = ({ step }: Entry) =>
      'session' in step ? step.session.sessionId : step.sessionId
    let left = [...this.#entries.values()].filter((entry) => isOf(sessionOf(entry)))
    const deadline = performance.now() + keptMs
    while (left.length > 0 && performance.now() < deadline && !this.#isClosed) {
      const failed: Entry[] = []
      for (const entry of left) {
        try {
          if (entry.type === 'erase') await eraseAgain(to, entry.step)
          else await this.#finishAgain(to, entry.step, entry.written)
        } catch {
          failed.push(entry)
        }
      }
      left = failed
      if (left.length > 0) await Bun.sleep(retryMs)
    }
  }

  async #finishAgain(to: Saying, first: Finish, written: Written | null): Promise<void> {
    let step = first
    for (let tries = 0; tries < triesMax; tries += 1) {
      const result = await to.finish(step)
      switch (result.is) {
        case 'applied':
        case 'already':
          return
        case 'told':
          step = { ...step, runs: await this.#runsFrom(to, step, result.told) }
          break
        case 'behind':
          if (written === null || result.next > step.next) return
          await to.append([restOf(step, written, result.next)])
          break
        case 'refused':
          if (!(await claimAgain(to, step))) return
          break
        case 'lost':
          if (written === null || !(await beginAgain(to, written))) return
          break
      }
    }
  }

  /** Of chunks that are in the log. */
  async #runsFrom(to: Saying, step: Finish, told: number): Promise<Run[]> {
    const generation = await to.find(step.messageId)
    if (generation === null) return []
    const chunks = await chunksFrom(to, generation, told, step.next)
    const { sessionId, tenantId, userId, messageId } = generation
    const session = { sessionId, tenantId, userId }
    const runs = new Runs({ ...this.#options, session, messageId, now: Date.now }, told)
    const closed: Run[] = []
    for (const { kind, part, text } of chunks) {
      runs.add({ kind, part, text, bytes: Buffer.byteLength(text), atMs: 0 }, closed)
    }
    runs.close(closed)
    return closed
  }
}

function unitsOf(entry: Entry): number {
  return entry.type === 'finish' ? entry.step.message.content.length : 0
}

type Chunk = Extract<LogStep, { type: 'chunk' }>

async function chunksFrom(
  to: Saying,
  { sessionId, epoch, startedSeq }: Generation,
  from: number,
  upto: number,
): Promise<Chunk[]> {
  const chunks: Chunk[] = []
  while (from + chunks.length < upto) {
    const seq = startedSeq + from + chunks.length
    const read = await to.read(sessionId, { epoch, seq }, pageSteps, pageBytes)
    const steps = read.is === 'steps' ? read.steps.filter((each) => each.type === 'chunk') : []
    if (steps.length === 0) break
    chunks.push(...steps)
  }
  return chunks.slice(0, upto - from)
}

async function eraseAgain(to: Saying, step: Erase): Promise<void> {
  const result = await to.erase(step)
  if (result.is !== 'absent') return
  await to.open({ session: step.session, at: step.at, ifAbsent: 'create' })
  await to.erase(step)
}

/** A claim was lost with the end: the former owner has been told that it is none any more. */
async function claimAgain(to: Saying, { messageId, token, at }: Finish): Promise<boolean> {
  const claim = { messageId, token, at, intent: 'owner_lost', leaseMs: 10_000 } as const
  return (await to.claim(claim)).is === 'claimed'
}

async function beginAgain(to: Saying, { begin, last }: Written): Promise<boolean> {
  // Who has claimed it does not know how it began.
  if (begin === undefined) return false
  const result = await to.begin({ ...begin, ifAbsent: 'create' }, last)
  if (result.is === 'already') return result.messageId === begin.messageId
  return result.is === 'applied'
}

/** By index: what is sent again stands where it stood. */
export function note(
  { codes, lengths }: Written,
  index: number,
  { kind, part, text }: { kind: ChunkKind; part: number; text: string },
): void {
  codes[index] = Number(codeOf(kind, part))
  lengths[index] = text.length
}

/** The chunks from `next` on, cut out of the message as they were. */
function restOf(step: Finish, { codes, lengths }: Written, next: number): Append {
  const { sessionId, messageId, token, message } = step
  const texts = (message.parts ?? [{ text: message.content }]).map(({ text = '' }) => text)
  const chunks: Append['chunks'] = []
  let at = 0
  let partBefore = 0
  for (let index = 0; index < step.next; index += 1) {
    const place = { seq: 0, messageId, chunkIndex: index }
    const { kind, part } = chunkOf(place, codes[index] ?? 0, '') as Chunk
    if (part !== partBefore) at = 0
    partBefore = part
    const end = at + (lengths[index] ?? 0)
    if (index >= next) chunks.push({ kind, part, text: texts[part]?.slice(at, end) ?? '' })
    at = end
  }
  return { sessionId, messageId, token, next, chunks, runs: [] }
}
