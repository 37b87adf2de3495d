import { sql } from 'drizzle-orm'
import { isUuid, timeOfUuid } from '#runtime/ids.ts'
import { iso } from '#runtime/time.ts'
import type { Db } from '../client.ts'
import { jsonOf } from '../rows.ts'
import type { StoredMessage } from '../stored-message.ts'

/** A message as an event told it; `content` is null when events hold no text. */
export interface NewMessage extends Omit<StoredMessage, 'content'> {
  content: string | null
  sessionId: string
  tenantId: string
  userId: string
  /** The step that told it. */
  epoch: number
  seq: number
}

/**
 * Writes messages. Of one that is told more than once the highest `(epoch, seq)` stands, in whichever order they come.
 * Nothing that somebody wrote is stored of a step at or before the session's erasure, nor of a message once erased.
 */
export async function saveMessages(tx: Db, all: readonly NewMessage[]): Promise<void> {
  const newest = new Map<string, NewMessage>()
  for (const message of all) {
    const other = newest.get(message.messageId)
    if (other === undefined || isBefore(other, message)) newest.set(message.messageId, message)
  }
  if (newest.size === 0) return
  const rows = [...newest.values()].map((row) => ({ ...row, createdAt: createdAt(row) }))
  await tx.execute(sql`
    insert into messages (message_id, created_at, session_id, conversation_id, tenant_id, user_id,
      role, content, parts, outcome, model, chunks, length, sha256, finish_reason, usage, error,
      metadata, parent_message_id, finished_at, epoch, seq, erased_at)
    select m."messageId", m."createdAt", m."sessionId", m."conversationId", m."tenantId",
      m."userId", m.role, case when e.gone then null else m.content end,
      case when e.gone then null else m.parts end, m.outcome, m.model, m.chunks, m.length,
      case when e.gone then null else m.sha256 end, m."finishReason", m.usage, m.error,
      case when e.gone then null else m.metadata end, m."parentMessageId", m."finishedAt",
      m.epoch, m.seq, case when e.gone then now() end
    from json_to_recordset(${jsonOf(rows)}) as m(
      "messageId" uuid, "createdAt" timestamptz, "sessionId" text, "conversationId" text,
      "tenantId" text, "userId" text, role text, content text, parts jsonb, outcome text,
      model text, chunks integer, length integer, sha256 text, "finishReason" text, usage jsonb,
      error jsonb, metadata jsonb, "parentMessageId" uuid, "finishedAt" timestamptz,
      epoch bigint, seq bigint)
    left join sessions s on s.session_id = m."sessionId"
    cross join lateral (
      select coalesce((m.epoch, m.seq) <= (s.erased_epoch, s.erased_seq), false) as gone
    ) e
    order by 1
    on conflict (message_id, created_at) do update set
      role = excluded.role, content = excluded.content, parts = excluded.parts,
      outcome = excluded.outcome, model = excluded.model, chunks = excluded.chunks,
      length = excluded.length, sha256 = excluded.sha256,
      finish_reason = excluded.finish_reason, usage = excluded.usage, error = excluded.error,
      metadata = excluded.metadata, parent_message_id = excluded.parent_message_id,
      finished_at = excluded.finished_at, epoch = excluded.epoch, seq = excluded.seq,
      erased_at = excluded.erased_at
    where messages.erased_at is null and messages.session_id = excluded.session_id
      and (excluded.epoch, excluded.seq) > (messages.epoch, messages.seq)`)
}

function isBefore(a: NewMessage, b: NewMessage): boolean {
  return a.epoch < b.epoch || (a.epoch === b.epoch && a.seq < b.seq)
}

/** The instant inside the id, so that one message has one key; of a foreign id that holds none, as told. */
function createdAt({ messageId, createdAt }: NewMessage): string {
  return isUuid(messageId) && messageId[14] === '7' ? iso(timeOfUuid(messageId)) : createdAt
}
