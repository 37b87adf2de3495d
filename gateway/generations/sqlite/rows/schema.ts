import type { Database } from 'bun:sqlite'

/**
 * `hot_journal` takes the chunks of all generations of one `append` as one row, so that a transaction dirties one page
 * and not one a generation; `hot_log` is what sessions are read from, a run of chunks a row. Chunks move from the first
 * to the second some time later (`spill`), at the latest when their answer ends.
 * What a step costs is the pages that it dirties, each of them two writes to the disk's log: hence few indexes, and a
 * request's key in the row of its answer.
 */
const schema = `
create table if not exists hot_meta (name text primary key, value integer not null) without rowid;
create table if not exists hot_sessions (
  session_id text primary key,
  sid integer not null,
  tenant_id text not null,
  user_id text not null,
  epoch integer not null,
  seq integer not null,
  previous_epoch integer,
  previous_seq integer,
  active text,
  begun integer not null,
  used_at integer not null,
  log_from integer not null,
  log_due integer,
  ends text not null,
  erased_seq integer not null,
  has_older integer not null,
  due_at integer
) without rowid;
create table if not exists hot_forgotten (session_id text primary key) without rowid;
create index if not exists hot_sessions_due on hot_sessions (due_at) where due_at is not null;
create table if not exists hot_journal (id integer primary key, body text not null);
create table if not exists hot_log (
  sid integer not null,
  seq integer not null,
  to_seq integer not null,
  type text not null,
  message_id text,
  chunk_index integer,
  told integer,
  body text not null,
  primary key (sid, seq)
) without rowid;
create table if not exists hot_messages (
  sid integer not null,
  pos integer not null,
  message_id text not null,
  bytes integer not null,
  body text not null,
  primary key (sid, pos)
) without rowid;
create table if not exists hot_generations (
  message_id text primary key,
  session_id text not null,
  tenant_id text not null,
  user_id text not null,
  user_message_id text not null,
  request_id text,
  digest text,
  model text not null,
  created_at integer not null,
  begun_at integer not null,
  epoch integer not null,
  started_seq integer not null,
  next integer not null,
  told integer not null,
  token text not null,
  intent text,
  outcome text,
  message_pos integer,
  regenerates text,
  erased integer not null,
  expires_at integer
) without rowid;
create index if not exists hot_generations_request on hot_generations (session_id, request_id);
create index if not exists hot_generations_expires on hot_generations (expires_at)
  where expires_at is not null;
create table if not exists hot_erasures (
  erasure_id text primary key,
  session_id text not null,
  epoch integer not null,
  seq integer not null,
  at integer not null
) without rowid;
create index if not exists hot_erasures_at on hot_erasures (at);
`

export function createTables(db: Database): void {
  db.run(schema)
}
