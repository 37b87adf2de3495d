import { sql } from 'drizzle-orm'
import type { Db } from '../client.ts'
import { jsonOf } from '../rows.ts'

/** Counts events as consumed by a group; answers those (as written by the caller) that were not yet, each once. */
export async function addConsumed(
  db: Db,
  groupId: string,
  eventIds: readonly string[],
): Promise<string[]> {
  // Postgres writes a UUID its own way, the caller knows it as it stood in the log.
  const written = new Map<string, string>()
  for (const id of eventIds) {
    const key = id.toLowerCase()
    if (!written.has(key)) written.set(key, id)
  }
  if (written.size === 0) return []
  const added = await db.execute<{ id: string }>(sql`
    insert into consumed (group_id, event_id)
    select ${groupId}, value::uuid from json_array_elements_text(${jsonOf([...written.keys()])})
    order by 2
    on conflict do nothing
    returning event_id::text as id`)
  return added.flatMap(({ id }) => written.get(id) ?? [])
}
