import { sql } from 'drizzle-orm'
import type { Db } from '../client.ts'
import { excerptHtml, searchQuery } from '../search-text.ts'

export interface FoundMessage {
  messageId: string
  sessionId: string
  role: 'user' | 'assistant'
  /** Escaped HTML with `<mark>`. */
  excerpt: string
  score: number
  /** ISO 8601. */
  createdAt: string
}

interface Row extends Omit<FoundMessage, 'excerpt' | 'createdAt'>, Record<string, unknown> {
  content: string
  atMs: number
}

/** One's own messages that hold all of the words and "phrases" of `text` and none of its -not, best first. */
export async function searchMessages(
  db: Db,
  who: { tenantId: string; userId: string },
  { text, limit }: { text: string; limit: number },
): Promise<FoundMessage[]> {
  const query = searchQuery(text)
  if (query === '') return []
  const rows = await db.execute<Row>(sql`
    select m.message_id::text as "messageId", m.session_id as "sessionId", m.role,
      left(m.content, 120000) as content, ts_rank(m.search, q.query)::float8 as score,
      (extract(epoch from m.created_at) * 1000)::float8 as "atMs"
    from messages m, websearch_to_tsquery('simple', ${query}) as q(query)
    where m.tenant_id = ${who.tenantId} and m.user_id = ${who.userId}
      and m.search @@ q.query and m.content is not null
    order by score desc, m.created_at desc, m.message_id desc
    limit ${limit}`)
  return rows.map(({ content, atMs, ...found }) => ({
    ...found,
    excerpt: excerptHtml(content, text),
    createdAt: new Date(Math.round(atMs)).toISOString(),
  }))
}
