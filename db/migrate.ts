import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { sql } from 'drizzle-orm'
import { migrate as migrateProxy } from 'drizzle-orm/pg-proxy/migrator'
import { z } from 'zod'
import { duration, type Env, parseEnv } from '#runtime/env.ts'
import type { Database } from './client.ts'
import { type KeepPartitions, type KeptPartitions, keepPartitions } from './partitions.ts'
import { postgresDatabase } from './postgres.ts'

const migrationsFolder = fileURLToPath(new URL('./migrations', import.meta.url))
// Any number that is ours: processes that start together migrate one after the other.
const lock = 7_303_001

/** Brings the tables up to date and makes their partitions. Idempotent; all of it or nothing. */
export async function migrate(
  database: Database,
  partitions: KeepPartitions,
): Promise<KeptPartitions> {
  await database.transaction(async (tx) => {
    await tx.execute(sql`select pg_advisory_xact_lock(${lock})`)
    await tx.execute(sql`set local statement_timeout = 0`)
    await migrateProxy(
      tx,
      async (statements) => {
        for (const statement of statements) await tx.execute(sql.raw(statement))
      },
      { migrationsFolder },
    )
  })
  return keepPartitions(database, partitions)
}

const help = `Usage: bun run db:migrate [--json]

Brings the tables of DATABASE_URL up to date, makes partitions (PARTITION_BY: month or day) and drops those of the
audit that are older than AUDIT_RETENTION. May be run again at any time.

  --json  print {created, dropped, stray}: partitions made and dropped, tables with rows in no partition of their own
  --help
`

const environment = z.object({
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }),
  PARTITION_BY: z.enum(['month', 'day']).default('month'),
  AUDIT_RETENTION: duration().optional(),
})

/** What to print, and the exit code. */
async function run(
  args: string[],
  env: Env,
): Promise<{ code: number; out?: string; err?: string }> {
  let flags: { json?: boolean; help?: boolean }
  try {
    const options = { json: { type: 'boolean' }, help: { type: 'boolean' } } as const
    flags = parseArgs({ args, options }).values
  } catch (error) {
    return { code: 2, err: `${messageOf(error)}\n\n${help}` }
  }
  if (flags.help === true) return { code: 0, out: help }
  try {
    const { DATABASE_URL, PARTITION_BY, AUDIT_RETENTION } = parseEnv(environment, env)
    await using database = postgresDatabase(DATABASE_URL, { max: 1, name: 'sluice-migrate' })
    const kept = await migrate(database, {
      nowMs: Date.now(),
      by: PARTITION_BY,
      ...(AUDIT_RETENTION !== undefined && { auditRetentionMs: AUDIT_RETENTION }),
    })
    if (flags.json === true) return { code: 0, out: `${JSON.stringify(kept)}\n` }
    const { created, dropped, stray } = kept
    const strays = stray.map((table) => `${table} has rows in no partition of their own\n`)
    const out = `tables are up to date; partitions: ${created.length} made, ${dropped.length} dropped\n`
    return { code: 0, out, err: strays.join('') }
  } catch (error) {
    return { code: 1, err: `${messageOf(error)}\n` }
  }
}

/** Of drizzle's error, which quotes the statement, what the server said. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? error.cause.message : error.message
}

if (import.meta.main) {
  const { code, out = '', err = '' } = await run(process.argv.slice(2), process.env)
  process.stdout.write(out)
  process.stderr.write(err)
  process.exitCode = code
}
