import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Something that the tests need and the run has got hold of. */
export interface Requirement {
  /** For the environment of the tests. */
  env: Record<string, string>
  release(): Promise<void>
}

const nothing: Requirement = { env: {}, release: () => Promise.resolve() }
const installMs = 600_000

/** Chromium of the system; installed where that is possible without asking. */
export async function chromium(): Promise<Requirement> {
  const path = process.env['SLUICE_TEST_CHROMIUM'] ?? '/usr/bin/chromium'
  if (!existsSync(path)) await installPackage('chromium')
  if (!existsSync(path))
    throw new Error(missing('Chromium', 'chromium', 'SLUICE_TEST_CHROMIUM=path'))
  return { ...nothing, env: { SLUICE_TEST_CHROMIUM: path } }
}

/** The PostgreSQL that is named or runs on the usual port, else one of our own until `release`. */
export async function postgres(): Promise<Requirement> {
  const named = process.env['SLUICE_TEST_POSTGRES']
  if (named !== undefined) return { ...nothing, env: { SLUICE_TEST_POSTGRES: named } }
  if (await isListening(5432)) return nothing
  if (postgresBin() === null) await installPackage('postgresql')
  const bin = postgresBin()
  if (bin === null) throw new Error(missing('PostgreSQL', 'postgresql', 'SLUICE_TEST_POSTGRES=url'))
  return startPostgres(bin)
}

async function startPostgres(bin: string): Promise<Requirement> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-postgres-'))
  const data = join(folder, 'data')
  // The server refuses to run as root.
  const as =
    process.getuid?.() === 0
      ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups']
      : []
  if (as.length > 0) await run(['chown', 'postgres:postgres', folder])
  await run([...as, join(bin, 'initdb'), '-D', data, '-U', 'postgres', '-A', 'trust', '--no-sync'])
  const port = await freePort()
  const options = [
    '-D',
    data,
    '-h',
    '127.0.0.1',
    '-p',
    String(port),
    '-k',
    folder,
    '-F',
    '-N',
    '200',
  ]
  const server = Bun.spawn([...as, join(bin, 'postgres'), ...options], {
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: Bun.file(join(folder, 'log')),
  })
  for (let tries = 0; !(await isListening(port)); tries += 1) {
    if (tries > 100 || server.exitCode !== null) {
      server.kill()
      throw new Error(`PostgreSQL did not start:\n${await Bun.file(join(folder, 'log')).text()}`)
    }
    await Bun.sleep(100)
  }
  return {
    env: { SLUICE_TEST_POSTGRES: `postgres://postgres@127.0.0.1:${port}/postgres` },
    async release() {
      server.kill('SIGINT')
      await server.exited
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function postgresBin(): string | null {
  const root = '/usr/lib/postgresql'
  const newest = existsSync(root)
    ? readdirSync(root).sort((a, b) => Number(b) - Number(a))[0]
    : undefined
  const bin = newest === undefined ? null : join(root, newest, 'bin')
  return bin !== null && existsSync(join(bin, 'initdb')) ? bin : null
}

async function installPackage(name: string): Promise<void> {
  if (process.getuid?.() !== 0 || Bun.which('apt-get') === null) return
  process.stderr.write(`Installing ${name}…\n`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  await run(['apt-get', 'update'], env)
  await run(['apt-get', 'install', '-y', '--no-install-recommends', name], env)
}

async function run(command: string[], env: NodeJS.ProcessEnv = process.env): Promise<void> {
  const child = Bun.spawn(command, {
    env,
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
    timeout: installMs,
  })
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ])
  if (code !== 0) throw new Error(`${command.join(' ')} ended with ${code}:\n${out}${err}`)
}

function missing(what: string, debianPackage: string, variable: string): string {
  return `The tests need ${what}: "apt-get install -y ${debianPackage}" brings it, or say where it is by ${variable}`
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    const answer = (isThere: boolean) => {
      socket.destroy()
      resolve(isThere)
    }
    socket.once('connect', () => answer(true)).once('error', () => answer(false))
  })
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => {
        if (typeof address === 'object' && address !== null) resolve(address.port)
        else reject(new Error('no free port'))
      })
    })
  })
}
