import { drizzle, type PgRemoteDatabase } from 'drizzle-orm/pg-proxy'

/**
 * What queries are written against, whichever server answers. `execute` resolves to an array of rows; in rows that no
 * table's columns map, dates and times are text as Postgres writes it, int8 is a number and jsonb is parsed.
 */
export type Db = PgRemoteDatabase & {
  /** Only in a transaction of a server. */
  copyIn?: CopyIn
}

/** Runs `statement`, which ends in `copy … from stdin`, with these lines. After a refusal the transaction may go on. */
export type CopyIn = (statement: string, lines: string) => Promise<void>

export interface DatabaseHealth {
  state: 'up' | 'down'
  reason?: string
}

/** A Postgres: a server, PGlite in this thread, or one in another thread. Disposing closes it. */
export interface Database extends AsyncDisposable {
  /** Each statement by itself. */
  db: Db
  /**
   * Commits when `work` resolves, else rolls back and rejects with what it failed with. Statements of `tx` one after
   * the other; none of them outside `work`.
   */
  transaction<T>(work: (tx: Db) => Promise<T>): Promise<T>
  /** Never rejects; answers within 3 s. */
  health(): Promise<DatabaseHealth>
}

/** Rows of one statement, as objects (later columns of a name win) or as arrays in the order of its columns. */
export type Run = (text: string, params: unknown[], shape: RowShape) => Promise<unknown[]>

export type RowShape = 'object' | 'array'

/** Drizzle over anything that can run a statement. */
export function dbOver(run: Run, copyIn?: CopyIn): Db {
  const db = drizzle(async (text, params, method) => {
    try {
      return { rows: await run(text, params, method === 'all' ? 'array' : 'object') }
    } catch (error) {
      // Drizzle writes the parameters into its error's message, where what somebody wrote must never stand.
      params.length = 0
      throw error
    }
  })
  return copyIn === undefined ? db : Object.assign(db, { copyIn })
}
