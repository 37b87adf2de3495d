import { type SQL, sql } from 'drizzle-orm'
import type { Db } from '../client.ts'
import { jsonOf } from '../rows.ts'
import type { PartitionOffset } from './add-offsets.ts'

/** What a projection's tables are made anew from, and by what rule they take the place of the old ones. */
export type Projection = 'history' | 'analytics'

/**
 * From when on the log holds everything of a topic, in ISO 8601; null: it holds all that there ever was. What is older
 * cannot be made anew: it stays as it is.
 */
export interface WholeSince {
  stream: string | null
  chat: string | null
}

const copies: Record<Projection, readonly string[]> = {
  history: ['messages', 'sessions'],
  analytics: ['analytics_minutes', 'consumed'],
}

/**
 * Puts an empty table of the transaction's own before each of the projection's: until the end of the transaction every
 * query of `tx` sees those, everybody else the old ones. Erasures are in the new ones from the start.
 */
export async function beginRebuild(tx: Db, projection: Projection): Promise<void> {
  await tx.execute(sql`set local statement_timeout = 0`)
  await tx.execute(sql`set local idle_in_transaction_session_timeout = 0`)
  // Not for the order, which is the same without: statements that are prepared find other tables only by another path.
  await tx.execute(sql`set local search_path = pg_temp, public`)
  for (const table of copies[projection]) {
    await tx.execute(
      sql.raw(`create temporary table ${table} (like public.${table} including defaults
        including indexes) on commit drop`),
    )
  }
  if (projection === 'analytics') return
  await tx.execute(sql`
    insert into pg_temp.sessions (session_id, tenant_id, user_id, created_at, last_epoch, last_seq,
      erased_epoch, erased_seq)
    select session_id, tenant_id, user_id, created_at, last_epoch, last_seq, erased_epoch, erased_seq
    from public.sessions where erased_epoch is not null`)
}

/** From here on no member of the group can write: it waits for the end of the transaction, then finds itself overtaken. */
export async function lockGroup(
  tx: Db,
  groupId: string,
  partitions: readonly { topic: string; partition: number }[],
): Promise<void> {
  const rows = partitions.map(({ topic, partition }) => ({ topic, partition }))
  await tx.execute(sql`
    insert into consumer_offsets (group_id, topic, partition, next_offset)
    select ${groupId}, topic, partition, 0
    from json_to_recordset(${jsonOf(rows)}) as p(topic text, partition integer)
    order by topic, partition
    on conflict do nothing`)
  await tx.execute(sql`
    select 1 from consumer_offsets where group_id = ${groupId} order by topic, partition for update`)
}

/** Puts the new in the place of the old and sets the group's offsets. */
export async function finishRebuild(
  tx: Db,
  projection: Projection,
  done: { groupId: string; whole: WholeSince; offsets: readonly PartitionOffset[] },
): Promise<void> {
  const { groupId, whole, offsets } = done
  if (projection === 'history') await replaceHistory(tx, whole.chat)
  else await replaceAnalytics(tx, groupId, whole)
  await tx.execute(sql`
    update consumer_offsets c set next_offset = o."offset"
    from json_to_recordset(${jsonOf(offsets)}) as o(topic text, partition integer, "offset" bigint)
    where c.group_id = ${groupId} and c.topic = o.topic and c.partition = o.partition`)
}

async function replaceHistory(tx: Db, since: string | null): Promise<void> {
  await tx.execute(sql`analyze pg_temp.messages`)
  await tx.execute(sql`
    delete from public.messages m
    where ${isSince(sql`m.created_at`, since)}
      or exists (select 1 from pg_temp.messages n
        where n.message_id = m.message_id and n.created_at = m.created_at)`)
  const columns = sql.raw(messageColumns)
  await tx.execute(sql`
    insert into public.messages (${columns}) select ${columns} from pg_temp.messages order by 1`)
  await tx.execute(sql`
    insert into public.sessions as s (session_id, tenant_id, user_id, created_at, last_epoch, last_seq,
      erased_epoch, erased_seq)
    select session_id, tenant_id, user_id, created_at, last_epoch, last_seq, erased_epoch, erased_seq
    from pg_temp.sessions
    order by 1
    on conflict (session_id) do update set
      created_at = least(s.created_at, excluded.created_at),
      (last_epoch, last_seq) = (
        select l.epoch, l.seq from (values (s.last_epoch, s.last_seq),
          (excluded.last_epoch, excluded.last_seq)) as l(epoch, seq)
        order by l.epoch desc, l.seq desc limit 1),
      title = case when coalesce(
          (s.erased_epoch, s.erased_seq) >= (excluded.erased_epoch, excluded.erased_seq),
          excluded.erased_epoch is null) then s.title end,
      (erased_epoch, erased_seq) = (
        select l.epoch, l.seq from (values (s.erased_epoch, s.erased_seq),
          (excluded.erased_epoch, excluded.erased_seq)) as l(epoch, seq)
        order by l.epoch desc nulls last, l.seq desc nulls last limit 1)
    where s.tenant_id = excluded.tenant_id and s.user_id = excluded.user_id`)
  await tx.execute(sql`
    delete from public.sessions s
    where ${isSince(sql`s.created_at`, since)} and s.erased_epoch is null and s.title is null
      and not exists (select 1 from public.messages m where m.session_id = s.session_id)`)
  await tx.execute(sql`
    update public.sessions s set last_message_at = l.at
    from (
      select o.session_id, (
        select max(m.created_at) from public.messages m
        where m.session_id = o.session_id and m.erased_at is null) as at
      from public.sessions o) l
    where l.session_id = s.session_id and s.last_message_at is distinct from l.at`)
}

const messageColumns = `message_id, created_at, session_id, conversation_id, tenant_id, user_id, role,
  content, parts, outcome, model, chunks, length, sha256, finish_reason, usage, error, metadata,
  parent_message_id, finished_at, epoch, seq, erased_at`

async function replaceAnalytics(tx: Db, groupId: string, whole: WholeSince): Promise<void> {
  // A minute is added to, never split: of one that is not whole in the log the old total stays.
  const isNew = sql`case when metric like 'analytics.message.%'
    then ${isSince(sql`minute`, whole.chat)} else ${isSince(sql`minute`, whole.stream)} end`
  await tx.execute(sql`delete from public.analytics_minutes where ${isNew}`)
  await tx.execute(sql`
    insert into public.analytics_minutes select * from pg_temp.analytics_minutes where ${isNew}
    order by metric, minute, labels`)
  await tx.execute(sql`
    insert into public.consumed select * from pg_temp.consumed where group_id = ${groupId}
    order by event_id
    on conflict do nothing`)
}

function isSince(column: SQL, since: string | null): SQL {
  return since === null ? sql`true` : sql`${column} >= ${since}::timestamptz`
}

/** Runs `work` so that its failure undoes what it did and no more. */
export async function inSavepoint(tx: Db, work: () => Promise<void>): Promise<void> {
  await tx.execute(sql`savepoint part`)
  try {
    await work()
  } catch (error) {
    await tx.execute(sql`rollback to savepoint part`)
    throw error
  } finally {
    await tx.execute(sql`release savepoint part`)
  }
}
