import { sql } from 'drizzle-orm'
import type { Db } from '../client.ts'
import { jsonOf } from '../rows.ts'

/** What a batch of events says of a session. */
export interface NewSession {
  sessionId: string
  tenantId: string
  userId: string
  /** ISO 8601; the earliest that is told stands. */
  createdAt: string
  /** Its highest step. */
  last: { epoch: number; seq: number }
  /** Its latest message and the step that told it. */
  lastMessage?: { at: string; epoch: number; seq: number }
}

/**
 * Makes sessions known, or what is known of them newer; whose they are never changes. A message at or before the
 * session's erasure counts as none.
 */
export async function saveSessions(tx: Db, all: readonly NewSession[]): Promise<void> {
  const merged = new Map<string, NewSession>()
  for (const session of all) {
    const other = merged.get(session.sessionId)
    merged.set(session.sessionId, other === undefined ? session : merge(other, session))
  }
  if (merged.size === 0) return
  const rows = [...merged.values()].map(({ last, lastMessage, ...session }) => ({
    ...session,
    lastEpoch: last.epoch,
    lastSeq: last.seq,
    messageAt: lastMessage?.at,
    messageEpoch: lastMessage?.epoch,
    messageSeq: lastMessage?.seq,
  }))
  await tx.execute(sql`
    insert into sessions (session_id, tenant_id, user_id, created_at, last_message_at,
      last_epoch, last_seq)
    select n."sessionId", n."tenantId", n."userId", n."createdAt",
      case when coalesce((n."messageEpoch", n."messageSeq") <= (s.erased_epoch, s.erased_seq), false)
        then null else n."messageAt" end,
      n."lastEpoch", n."lastSeq"
    from json_to_recordset(${jsonOf(rows)}) as n(
      "sessionId" text, "tenantId" text, "userId" text, "createdAt" timestamptz,
      "lastEpoch" bigint, "lastSeq" bigint,
      "messageAt" timestamptz, "messageEpoch" bigint, "messageSeq" bigint)
    left join sessions s on s.session_id = n."sessionId"
    order by 1
    on conflict (session_id) do update set
      created_at = least(sessions.created_at, excluded.created_at),
      last_message_at = greatest(sessions.last_message_at, excluded.last_message_at),
      (last_epoch, last_seq) = (
        select l.epoch, l.seq from (values (sessions.last_epoch, sessions.last_seq),
          (excluded.last_epoch, excluded.last_seq)) as l(epoch, seq)
        order by l.epoch desc, l.seq desc limit 1)
    where sessions.tenant_id = excluded.tenant_id and sessions.user_id = excluded.user_id`)
}

function merge(a: NewSession, b: NewSession): NewSession {
  const lastMessage = later(a.lastMessage, b.lastMessage)
  // ISO 8601 in UTC sorts as text.
  const earlier = a.createdAt < b.createdAt ? a : b
  return {
    ...a,
    createdAt: earlier.createdAt,
    last: later(a.last, b.last) ?? a.last,
    ...(lastMessage !== undefined && { lastMessage }),
  }
}

function later<Step extends { epoch: number; seq: number }>(a?: Step, b?: Step): Step | undefined {
  if (a === undefined || b === undefined) return a ?? b
  return b.epoch > a.epoch || (b.epoch === a.epoch && b.seq > a.seq) ? b : a
}
