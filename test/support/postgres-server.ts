import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import { freePort } from './redis.ts'
import { atEnd, opened } from './tracker.ts'
import { until } from './until.ts'

/** A PostgreSQL of the test's own, to be stopped and started; ends with the test or file. */
export interface PostgresServer {
  url: string
  start(): Promise<void>
  /** At once, as a crash would. */
  stop(): Promise<void>
}

/** Made, and started unless told otherwise. */
export async function postgresServer(options: { isStarted: boolean }): Promise<PostgresServer> {
  const bin = binFolder()
  const folder = mkdtempSync(join(tmpdir(), 'sluice-postgres-'))
  const data = join(folder, 'data')
  const port = await freePort()
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`
  // The server refuses to run as root.
  const as =
    process.getuid?.() === 0
      ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups']
      : []
  if (as.length > 0) await run(['chown', 'postgres:postgres', folder])
  await run([...as, join(bin, 'initdb'), '-D', data, '-U', 'postgres', '-A', 'trust', '--no-sync'])
  let server: Bun.Subprocess | null = null
  const closed = opened(`PostgreSQL on ${port}`)
  const start = async () => {
    server = Bun.spawn(
      [
        ...[...as, join(bin, 'postgres'), '-D', data, '-h', '127.0.0.1', '-p', String(port)],
        ...['-k', folder, '-F'],
      ],
      { stdin: 'ignore', stdout: 'ignore', stderr: 'ignore' },
    )
    await until(() => answers(url), { timeoutMs: 20_000, everyMs: 50, what: 'PostgreSQL answers' })
  }
  const stop = async () => {
    server?.kill('SIGQUIT')
    await server?.exited
    server = null
  }
  atEnd(async () => {
    await stop()
    closed()
    rmSync(folder, { recursive: true, force: true })
  })
  if (options.isStarted) await start()
  return { url, start, stop }
}

async function answers(url: string): Promise<boolean> {
  const sql = postgres(url, { max: 1, connect_timeout: 2, onnotice: () => undefined })
  try {
    await sql`select 1`
    return true
  } catch {
    return false
  } finally {
    await sql.end({ timeout: 1 })
  }
}

function binFolder(): string {
  const root = '/usr/lib/postgresql'
  const versions = existsSync(root) ? readdirSync(root).sort((a, b) => Number(b) - Number(a)) : []
  const bin = versions.map((version) => join(root, version, 'bin')).find((path) => existsSync(path))
  if (bin === undefined) throw new Error(`there is no PostgreSQL in ${root}`)
  return bin
}

async function run(command: string[]): Promise<void> {
  const child = Bun.spawn(command, { stdin: 'ignore', stdout: 'ignore', stderr: 'pipe' })
  const err = await new Response(child.stderr).text()
  if ((await child.exited) !== 0) throw new Error(`${command.join(' ')}:\n${err}`)
}
