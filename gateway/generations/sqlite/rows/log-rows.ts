import type { Database } from 'bun:sqlite'
import type { LogStep } from '../../generations.ts'
import { type ActiveGeneration, emptyTail, type SessionState } from '../session-state.ts'
import { kindOf, partOf } from './chunk-code.ts'

export interface LogRow {
  seq: number
  to_seq: number
  type: LogStep['type']
  message_id: string | null
  chunk_index: number | null
  body: string
}

/** The log as rows: a frame each, chunks in runs. */
export interface LogRows {
  frame(session: SessionState, step: Exclude<LogStep, { type: 'chunk' }>): void
  /** The tail of an active answer goes to the log. Inside a transaction. */
  spill(generation: ActiveGeneration): void
  /** Rows from the one that holds `seq` on. */
  page(sid: number, seq: number, limit: number): LogRow[]
  /** The last step in the log, and what its answer had told then; null when it is empty. */
  top(sid: number): { seq: number; told: number | null } | null
  dropTo(sid: number, seq: number): void
}

/** Of a run of chunks: code and length of each, and all their texts. One long text costs a part of many short ones. */
type ChunkBody = [marks: number[], text: string]

/** Chunks of one row at most: what a reader in the middle of a row has to pass by. */
export const rowChunksMax = 128

export function createLogRows(db: Database): LogRows {
  const insert = db.prepare<unknown, (string | number | null)[]>(`
    insert into hot_log (sid, seq, to_seq, type, message_id, chunk_index, told, body)
    values (?, ?, ?, ?, ?, ?, ?, ?)`)
  const select = db.prepare<LogRow, [number, number, number, number, number]>(`
    select seq, to_seq, type, message_id, chunk_index, body from hot_log where sid = ?
      and seq >= coalesce((select max(seq) from hot_log where sid = ? and seq <= ?), ?)
    order by seq limit ?`)
  const last = db.prepare<{ to_seq: number; told: number | null }, [number]>(
    'select to_seq, told from hot_log where sid = ? order by seq desc limit 1',
  )
  const drop = db.prepare<unknown, [number, number]>(
    'delete from hot_log where sid = ? and seq <= ?',
  )

  function spill(generation: ActiveGeneration): void {
    const { session, messageId, told } = generation
    const { fromSeq, codes, texts } = session.tail
    for (let from = 0; from < codes.length; from += rowChunksMax) {
      const to = Math.min(from + rowChunksMax, codes.length)
      const marks: number[] = []
      for (let at = from; at < to; at += 1) marks.push(codes[at] ?? 0, texts[at]?.length ?? 0)
      const body: ChunkBody = [marks, texts.slice(from, to).join('')]
      const seq = fromSeq + from
      const index = seq - generation.startedSeq - 1
      const place = [session.sid, seq, fromSeq + to - 1, 'chunk', messageId, index, told]
      insert.run(...place, JSON.stringify(body))
    }
    session.tail = emptyTail(session.seq + 1)
  }

  return {
    frame({ sid }, step) {
      const messageId = step.type === 'erased' ? null : step.messageId
      insert.run(sid, step.seq, step.seq, step.type, messageId, null, null, step.frame)
    },
    spill,
    page: (sid, seq, limit) => select.all(sid, sid, seq, seq, limit),
    top(sid) {
      const row = last.get(sid)
      return row === null ? null : { seq: row.to_seq, told: row.told }
    },
    dropTo(sid, seq) {
      drop.run(sid, seq)
    },
  }
}

/** The steps of a row from `seq` on. */
export function stepsOfRow(row: LogRow, seq: number): LogStep[] {
  const { type, body: frame } = row
  if (type === 'erased') return [{ type, seq: row.seq, frame }]
  const messageId = row.message_id ?? ''
  if (type !== 'chunk') return [{ type, seq: row.seq, messageId, frame }]
  const [marks, text] = JSON.parse(frame) as ChunkBody
  const steps: LogStep[] = []
  let from = 0
  for (let at = 0; at * 2 < marks.length; at += 1) {
    const to = from + (marks[at * 2 + 1] ?? 0)
    if (row.seq + at >= seq) {
      const place = { seq: row.seq + at, messageId, chunkIndex: (row.chunk_index ?? 0) + at }
      steps.push(chunkStep(place, marks[at * 2] ?? 0, text.slice(from, to)))
    }
    from = to
  }
  return steps
}

export function chunkStep(
  place: { seq: number; messageId: string; chunkIndex: number },
  code: number,
  text: string,
): LogStep {
  const { seq, messageId, chunkIndex } = place
  return { type: 'chunk', seq, messageId, chunkIndex, kind: kindOf(code), part: partOf(code), text }
}
