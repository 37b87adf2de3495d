import { finished } from 'node:stream/promises'
import postgres from 'postgres'
import { type Database, type DatabaseHealth, type Db, dbOver, type RowShape } from './client.ts'
import { DatabaseAway } from './errors.ts'

export interface PostgresOptions {
  /** Connections at most; 10 by default. */
  max?: number
  /** What a statement may take before the server ends it; 30 s by default. */
  statementTimeoutMs?: number
  /** How we are called in `pg_stat_activity`. */
  name?: string
}

type Client = ReturnType<typeof connect>
type Connection = Pick<Client, 'unsafe'>

const statementTimeoutDefaultMs = 30_000
const connectTimeoutS = 5
// A server that comes back is found within so long, however long it was away.
const reconnectMaxS = 1
// A transaction whose owner stands still (a stopped process) keeps locks that the next owner waits for.
const idleInTransactionMs = 15_000
const healthMs = 2_500

/** A Postgres server, 15 or newer. Connects with the first statement, and again whenever it must. */
export function postgresDatabase(url: string, options: PostgresOptions = {}): Database {
  const { statementTimeoutMs = statementTimeoutDefaultMs } = options
  // The server ends a slow statement itself; only one that is cut off or hangs is silent for longer.
  const silentMs = statementTimeoutMs * 1.1 + 200
  let client = connect(url, options)
  let isClosed = false

  /** Of a server that is silent the connections go too: they would only be handed out again. */
  async function heard<T>(of: Client, answer: Promise<T>, withinMs = silentMs): Promise<T> {
    const silence = Promise.withResolvers<never>()
    const timer = setTimeout(() => {
      silence.reject(new DatabaseAway(`Postgres has said nothing for ${withinMs} ms`))
      if (of !== client || isClosed) return
      client = connect(url, options)
      // They are cut, not closed: what the old client has to say of that is of no use to anyone.
      void of.end({ timeout: 0 }).catch(() => undefined)
    }, withinMs)
    try {
      return await Promise.race([answer, silence.promise])
    } finally {
      clearTimeout(timer)
    }
  }

  async function transaction<T>(work: (tx: Db) => Promise<T>): Promise<T> {
    const of = client
    const begun = Promise.withResolvers<void>()
    const worked = Promise.withResolvers<void>()
    const whole: Promise<{ value: T }> = of.begin(async (tx) => {
      begun.resolve()
      const db = dbOver(
        (text, params, shape) => heard(of, rowsOf(tx, text, params, shape)),
        (statement, lines) => heard(of, copied(tx, statement, lines)),
      )
      try {
        return { value: await work(db) }
      } finally {
        worked.resolve()
      }
    })
    // Its parts are timed one by one: as long as the server answers, the work may be long.
    await heard(of, Promise.race([begun.promise, whole]))
    await Promise.race([worked.promise, whole])
    return (await heard(of, whole)).value
  }

  async function health(): Promise<DatabaseHealth> {
    try {
      await heard(client, rowsOf(client, 'select 1', [], 'array'), healthMs)
      return { state: 'up' }
    } catch (error) {
      return { state: 'down', reason: error instanceof Error ? error.message : String(error) }
    }
  }

  return {
    db: dbOver((text, params, shape) => heard(client, rowsOf(client, text, params, shape))),
    transaction,
    health,
    async [Symbol.asyncDispose]() {
      isClosed = true
      await client.end({ timeout: 5 })
    },
  }
}

async function rowsOf(
  connection: Connection,
  text: string,
  params: unknown[],
  shape: RowShape,
): Promise<unknown[]> {
  // Prepared once per connection, else each statement is asked about before it is run: two round trips.
  const query = connection.unsafe(text, params as never[], { prepare: true })
  return shape === 'array' ? await query.values() : [...(await query)]
}

async function copied(connection: Connection, statement: string, lines: string): Promise<void> {
  const writable = await connection.unsafe(statement).writable()
  const written = finished(writable)
  writable.end(lines)
  await written
}

const asIs = (value: unknown) => value

function connect(url: string, options: PostgresOptions) {
  const { max = 10, statementTimeoutMs = statementTimeoutDefaultMs, name = 'sluice' } = options
  return postgres(url, {
    max,
    connect_timeout: connectTimeoutS,
    backoff: (attempt: number) =>
      Math.min(reconnectMaxS, 0.05 * 2 ** attempt) * (0.5 + Math.random() / 2),
    connection: {
      application_name: name,
      TimeZone: 'UTC',
      statement_timeout: statementTimeoutMs,
      idle_in_transaction_session_timeout: idleInTransactionMs,
    },
    onnotice: () => undefined,
    types: {
      // Drizzle's columns parse dates and write JSON themselves.
      date: { to: 1184, from: [1082, 1083, 1114, 1184], serialize: asIs, parse: asIs },
      json: {
        to: 114,
        from: [114, 3802],
        serialize: asIs,
        parse: (text: string) => JSON.parse(text),
      },
      int8: { to: 20, from: [20], serialize: String, parse: Number },
    },
  })
}
