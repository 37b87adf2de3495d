import type { Database } from 'bun:sqlite'
import type { ActiveGeneration } from '../session-state.ts'

/** Chunks of one generation in one `append`; `seq` of the first, `told` behind the last. */
export interface JournalEntry {
  sid: number
  seq: number
  told: number
  chunks: { code: number; text: string }[]
}

/**
 * One row an `append`: a flat JSON array, for each generation `sid, seq of the first chunk, told, number of chunks`, then
 * `code, text` of each chunk.
 */
export interface Journal {
  /** The number that the next row will have. */
  readonly nextId: number
  write(entries: (number | string)[]): void
  /** Hands over what was written and not dropped, oldest first. */
  replay(take: (entry: JournalEntry) => void): void
  dropBelow(id: number): void
  /** Whether this row is dropped. */
  isBelow(id: number): boolean
}

export function createJournal(db: Database): Journal {
  const insert = db.prepare<unknown, [number, string]>('insert into hot_journal values (?, ?)')
  const select = db.prepare<{ id: number; body: string }, []>(
    'select id, body from hot_journal order by id',
  )
  const drop = db.prepare<unknown, [number]>('delete from hot_journal where id < ?')
  let nextId = 1
  let firstId = 1

  return {
    get nextId() {
      return nextId
    },
    write(entries) {
      insert.run(nextId, JSON.stringify(entries))
      nextId += 1
    },
    replay(take) {
      firstId = 0
      for (const { id, body } of select.iterate()) {
        nextId = Math.max(nextId, id + 1)
        for (const entry of entriesOf(JSON.parse(body) as (number | string)[])) take(entry)
      }
    },
    dropBelow(id) {
      if (id <= firstId) return
      drop.run(id)
      firstId = id
    },
    isBelow: (id) => id < firstId,
  }
}

function* entriesOf(flat: (number | string)[]): Generator<JournalEntry> {
  let at = 0
  while (at < flat.length) {
    const [sid = 0, seq = 0, told = 0, count = 0] = flat.slice(at, at + 4).map(Number)
    at += 4
    const chunks: JournalEntry['chunks'] = []
    for (const end = at + count * 2; at < end; at += 2) {
      chunks.push({ code: Number(flat[at]), text: String(flat[at + 1]) })
    }
    yield { sid, seq, told, chunks }
  }
}

/** Puts a chunk at the end of a session's tail; its step is the session's next. */
export function pushChunk(
  generation: ActiveGeneration,
  code: number,
  text: string,
  journalId: number,
): void {
  const { session } = generation
  const { tail } = session
  if (tail.codes.length === 0) tail.journalId = journalId
  tail.codes.push(code)
  tail.texts.push(text)
  tail.length += text.length
  session.seq += 1
  session.lastJournalId = journalId
  generation.next += 1
}
