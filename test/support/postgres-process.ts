import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run, tryRun } from '#cli/setup/run.ts'
import { freePort } from './free-port.ts'

/** A PostgreSQL with a port and a folder of its own. */
export interface PostgresProcess {
  url: string
  /** Resolves once it answers. */
  start(): Promise<void>
  /** At once, as a crash would. */
  kill(): Promise<void>
  /** Ends it and takes its data away. */
  release(): Promise<void>
}

const startMs = 20_000

/** Where the newest PostgreSQL of the system has its programs; null: nowhere. */
export function postgresBin(): string | null {
  const root = '/usr/lib/postgresql'
  const newest = existsSync(root)
    ? readdirSync(root).toSorted((a, b) => Number(b) - Number(a))[0]
    : undefined
  const bin = newest === undefined ? null : join(root, newest, 'bin')
  return bin !== null && existsSync(join(bin, 'initdb')) ? bin : null
}

/** Made, not started. */
export async function postgresProcess(bin: string): Promise<PostgresProcess> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-postgres-'))
  const data = join(folder, 'data')
  const port = await freePort()
  // The server refuses to run as root.
  const as =
    process.getuid?.() === 0
      ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups']
      : []
  if (as.length > 0) await run(['chown', 'postgres:postgres', folder])
  await run([...as, join(bin, 'initdb'), '-D', data, '-U', 'postgres', '-A', 'trust', '--no-sync'])
  let server: Bun.Subprocess | null = null
  const place = ['-h', '127.0.0.1', '-p', String(port)]
  const log = join(folder, 'log')
  const kill = async () => {
    server?.kill('SIGQUIT')
    await server?.exited
    server = null
  }
  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    async start() {
      const command = [join(bin, 'postgres'), '-D', data, ...place, '-k', folder, '-F', '-N', '200']
      server = Bun.spawn([...as, ...command], {
        stdin: 'ignore',
        stdout: 'ignore',
        stderr: Bun.file(log),
      })
      const endMs = performance.now() + startMs
      while ((await tryRun([join(bin, 'pg_isready'), ...place])).code !== 0) {
        if (server.exitCode === null && performance.now() < endMs) await Bun.sleep(50)
        else throw new Error(`PostgreSQL did not start:\n${await Bun.file(log).text()}`)
      }
    },
    kill,
    async release() {
      await kill()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
