import { type SQL, sql } from 'drizzle-orm'

/** Rows as one parameter, for `json_to_recordset`: a statement of any number of rows stays one text. */
export function jsonOf(rows: readonly unknown[]): SQL {
  return jsonOfText(JSON.stringify(rows))
}

/** Rows that are JSON already. */
export function jsonOfText(rows: string): SQL {
  // By way of text, for a driver that hears "json" would quote the text once more.
  return sql`${rows}::text::json`
}
