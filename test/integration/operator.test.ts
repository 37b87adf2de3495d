import { expect, test } from 'bun:test'
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from '../support/free-port.ts'
import { ownBroker } from '../support/kafka.ts'
import { testDatabase } from '../support/postgres.ts'
import { startRedis } from '../support/redis.ts'
import { tempDir } from '../support/temp.ts'
import { atEnd, opened } from '../support/tracker.ts'
import { until } from '../support/until.ts'

// What the README tells an operator to type, typed: only addresses are those of this run's servers.
const root = fileURLToPath(new URL('../..', import.meta.url))
const heading = '## On real servers'
const linesMax = 10

/** What processes say when they are ready. */
interface Ready {
  msg: string
  process: string
  level: string
}

async function blockOf(path: string): Promise<string[]> {
  const text = await Bun.file(path).text()
  const section = text.slice(text.indexOf(`${heading}\n`)).split('\n## ')[0] ?? ''
  return (/```bash\n([^`]*)```/.exec(section)?.[1] ?? '').trimEnd().split('\n')
}

/** A folder with nothing but `bun` in it, however this run was started. */
function bunFolder(): string {
  const folder = tempDir('sluice-operator')
  symlinkSync(process.execPath, join(folder, 'bun'))
  return folder
}

interface Shell {
  said(): Ready[]
  output(): string
  /** SIGTERM to every process of it; resolves once all of them have gone. */
  end(): Promise<void>
}

/** The commands, and what they leave running, in a process group of its own. */
function startShell(script: string, env: Record<string, string>): Shell {
  const child = Bun.spawn(['bash', '-ec', `${script}\nwait\n`], {
    cwd: root,
    env,
    detached: true,
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const closed = opened('what the README starts')
  let text = ''
  const read = async (stream: ReadableStream<Uint8Array>) => {
    const decoder = new TextDecoder()
    for await (const bytes of stream as unknown as AsyncIterable<Uint8Array>) {
      text += decoder.decode(bytes, { stream: true })
    }
  }
  // A stream ends when the last process that writes into it has ended.
  const gone = Promise.all([read(child.stdout), read(child.stderr)])
  const signal = (name: NodeJS.Signals) => {
    try {
      process.kill(-child.pid, name)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
  atEnd(async () => {
    signal('SIGKILL')
    await gone
    closed()
  })
  return {
    said: () =>
      text
        .split('\n')
        .filter((line) => line.startsWith('{"time"') && line.endsWith('}'))
        .map((line) => JSON.parse(line) as Ready),
    output: () => text,
    async end() {
      signal('SIGTERM')
      await gone
    },
  }
}

async function run(command: string, env: Record<string, string>): Promise<string> {
  const child = Bun.spawn(['bash', '-ec', command], {
    ...{ cwd: root, env, stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' },
  })
  const closed = opened(command)
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ])
  closed()
  if (code !== 0) throw new Error(`${command} ended with ${code}:\n${out}${err}`)
  return out
}

test('the README takes an operator from nothing to the full mode in ten lines', async () => {
  const [redis, broker, database] = await Promise.all([
    startRedis(['--maxmemory-policy', 'noeviction']),
    ownBroker(),
    testDatabase(),
  ])
  atEnd(async () => {
    await database[Symbol.asyncDispose]()
  })
  const [first, second, replay] = [await freePort(), await freePort(), await freePort()]
  const lines = await blockOf(join(root, 'README.md'))
  expect(lines.length).toBeLessThanOrEqual(linesMax)
  const places: [said: string, ours: string][] = [
    ['redis://127.0.0.1:6379', redis.url],
    ['127.0.0.1:9092', broker.address],
    ['postgres://postgres@127.0.0.1:5432/sluice', database.url],
    ['PORT=8080', `PORT=${first}`],
    ['PORT=8081', `PORT=${second}`],
    ['PORT=8090', `PORT=${replay}`],
    ['127.0.0.1:8080', `127.0.0.1:${first}`],
    ['127.0.0.1:8081', `127.0.0.1:${second}`],
    ['bun run replay', `bun run replay --url http://127.0.0.1:${replay}`],
  ]
  for (const [said] of places) expect(lines.join('\n')).toContain(said)
  const typed = lines.map((line) =>
    places.reduce((text, [said, ours]) => text.replaceAll(said, ours), line),
  )
  const env = {
    PATH: `${bunFolder()}:${process.env['PATH']}`,
    HOME: process.env['HOME'] ?? '/tmp',
  }
  const looks = typed.findIndex((line) => line.startsWith('curl'))
  const shell = startShell(typed.slice(0, looks).join('\n'), env)
  const expected = ['gateway', 'gateway', 'relay']
  for (const name of ['analytics', 'audit', 'history', 'replay']) expected.push(`consumer:${name}`)
  const ready = () => shell.said().filter(({ msg }) => msg === 'ready')
  await until(() => ready().length === expected.length, {
    timeoutMs: 90_000,
    what: 'all that the README starts is ready',
  }).catch((cause: unknown) => {
    throw new Error(shell.output(), { cause })
  })
  expect(ready().map(({ process }) => process)).toEqual(expect.arrayContaining(expected))

  const exports = typed.filter((line) => line.startsWith('export ')).join('\n')
  /** The line that has this in it, as often as it takes until it answers what is wanted. */
  const look = async (part: string, isWanted: (out: string) => boolean) => {
    const found = typed.slice(looks).filter((line) => line.includes(part))
    expect(found).toHaveLength(1)
    let out = ''
    const asked = async () => {
      out = await run(`${exports}\n${found[0]}`, env)
      return isWanted(out)
    }
    await until(asked, { timeoutMs: 30_000, everyMs: 300, what: part }).catch((cause: unknown) => {
      throw new Error(`${found[0]} answered:\n${out}`, { cause })
    })
  }
  await look('/api/chat', (out) => /event: done\n[\s\S]*"outcome":"completed"/.test(out))
  await look('/api/history/', (out) => (JSON.parse(out) as { count: number }).count >= 2)
  await look('/api/audit?', (out) => out.includes('"eventType":"STREAM_COMPLETED"'))
  await look('bun run replay', (out) =>
    /STREAM_STARTED[\s\S]*CHUNK_RECEIVED[\s\S]*STREAM_COMPLETED[\s\S]*"_replayEnd":.*"complete":true/.test(
      out,
    ),
  )
  await look('bun run lag', (out) =>
    ['audit-trail', 'analytics', 'history'].every((name) => out.includes(`${name}-consumer`)),
  )
  const { dependencies } = (await (await fetch(`http://127.0.0.1:${first}/health`)).json()) as {
    dependencies: Record<string, { state: string; reason?: string }>
  }
  expect(dependencies).toMatchObject({
    redis: { state: 'up' },
    postgres: { state: 'up' },
    relay: { state: 'up' },
  })
  expect(dependencies['redis']?.reason).toBeUndefined()

  await shell.end()
  expect(shell.said().filter(({ level }) => level === 'error' || level === 'warn')).toEqual([])
}, 240_000)
