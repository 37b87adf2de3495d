import type { Database } from 'bun:sqlite'
import { historyBytesMax, historyMessagesMax, type StoredMessage } from '../../generations.ts'
import type { SessionState } from '../session-state.ts'

/** Hot history. `pos` is the step that brought the message; negative for what came back from Postgres. */
export interface MessageRows {
  insert(session: SessionState, pos: number, message: StoredMessage): void
  /** Within the bounds, oldest first. */
  all(sid: number): StoredMessage[]
  /** Lets go of what is past the bounds; whether there was something. */
  trim(sid: number): boolean
  erase(sid: number): void
}

/** Tombstones and idempotency keys are kept this long. */
export const dayMs = 24 * 60 * 60 * 1000

export function createMessageRows(db: Database): MessageRows {
  const insert = db.prepare<unknown, (string | number)[]>(
    'insert into hot_messages (sid, pos, message_id, bytes, body) values (?, ?, ?, ?, ?)',
  )
  const select = db.prepare<{ body: string }, [number]>(
    'select body from hot_messages where sid = ? order by pos',
  )
  const sizes = db.prepare<{ pos: number; bytes: number }, [number]>(
    'select pos, bytes from hot_messages where sid = ? order by pos desc',
  )
  const expire = db.prepare<unknown, [number, number, number]>(`
    update hot_generations set expires_at = begun_at + ? where message_id in
      (select message_id from hot_messages where sid = ? and pos <= ?)`)
  const drop = db.prepare<unknown, [number, number]>(
    'delete from hot_messages where sid = ? and pos <= ?',
  )

  return {
    insert({ sid }, pos, message) {
      const body = JSON.stringify(message)
      insert.run(sid, pos, message.messageId, Buffer.byteLength(body), body)
    },
    all: (sid) => select.all(sid).map(({ body }) => JSON.parse(body) as StoredMessage),
    trim(sid) {
      let bytes = 0
      let count = 0
      for (const row of sizes.all(sid)) {
        bytes += row.bytes
        count += 1
        if (count > 1 && (count > historyMessagesMax || bytes > historyBytesMax)) {
          expire.run(dayMs, sid, row.pos)
          drop.run(sid, row.pos)
          return true
        }
      }
      return false
    },
    erase(sid) {
      drop.run(sid, Number.MAX_SAFE_INTEGER)
    },
  }
}
