import { type SQL, sql } from 'drizzle-orm'

/** Rows as one parameter, for `json_to_recordset`: a statement of any number of rows stays one text. */
export function jsonOf(rows: readonly unknown[]): SQL {
  // By way of text, for a driver that hears "json" would quote the text once more.
  return sql`${JSON.stringify(rows)}::text::json`
}
