import { beforeAll, describe, expect, test } from 'bun:test'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { replayCommand } from '#cli/replay/command.ts'
import { replayApp } from '#consumers/replay/app.ts'
import { quietLog } from '#runtime/log.ts'
import { Teller } from '../contract/consumers-events.ts'
import { postgresParts, type StoredParts } from '../contract/consumers-parts.ts'
import { tempDir } from '../support/temp.ts'
import { atEnd } from '../support/tracker.ts'

let parts: StoredParts
let url = ''
const teller = new Teller('c1', { atMs: Date.now() - 200_000 })

beforeAll(async () => {
  parts = await postgresParts()
  teller.chat({ question: 'Why \u001b[31m red?' })
  teller.atMs += 90_000
  teller.chat({ outcome: 'failed' })
  await parts.eventLog.produce(teller.records())
  const app = replayApp({
    ...parts,
    nodeId: 'n1',
    log: quietLog,
    authorize: (request) =>
      request.headers.get('authorization') === 'Bearer good'
        ? Promise.resolve({ userId: 'ada', tenantId: 'default' })
        : Promise.reject(Object.assign(new Error('no'), refused)),
  })
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: (request) => app.fetch(request),
  })
  atEnd(async () => {
    await server.stop(true)
  })
  url = server.url.origin
})

const refused = {
  status: 401,
  toJSON: () => ({ code: 'not_authenticated', message: 'Say who you are.', temporary: false }),
}

async function run(
  args: string[],
  options: { isTty?: boolean; token?: string; folder?: string } = {},
) {
  let [out, err] = ['', '']
  const { isTty = false, token = 'good', folder = '/' } = options
  const code = await replayCommand({
    args,
    urlDefault: url,
    token,
    folder,
    signal: new AbortController().signal,
    terminal: {
      out: (text) => {
        out += text
      },
      err: (text) => {
        err += text
      },
      isTty,
      isErrTty: false,
    },
  })
  return { code, out, err, lines: out.trimEnd().split('\n') }
}

const idsOf = (events: unknown[]) => events.map((event) => (event as { eventId: string }).eventId)

describe('bun run replay', () => {
  test('prints one event a line, then how it ended', async () => {
    const { code, lines } = await run(['session', 'c1'])
    expect(code).toBe(0)
    const events = lines.map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(idsOf(events.slice(0, -1))).toEqual(idsOf(teller.events))
    expect(events.at(-1)).toEqual({ _replayEnd: { count: 11, complete: true, missing: [] } })
  })

  test('draws a timeline on a terminal, in which no event can draw', async () => {
    const { code, out } = await run(['session', 'c1'], { isTty: true })
    expect(code).toBe(0)
    expect(out).toContain('SESSION_STARTED')
    expect(out).toContain('connection: cut off')
    expect(out).toContain('1.5 min')
    expect(out).toContain('11 events, complete')
    expect(out).not.toContain('\u001b[31m red?')
    expect(out).toContain('Why \uFFFD[31m red?')
  })

  test('prints the body of the call as one value with --json', async () => {
    const { code, out } = await run(['session', 'c1', '--json', '--limit', '2'])
    expect(code).toBe(0)
    expect(JSON.parse(out)).toMatchObject({ sessionId: 'c1', count: 2, truncated: true })
  })

  test('replays topics by time and partitions by offset', async () => {
    const topic = await run(['topic', 'chat-events', '--from', '-1h', '--to', '-1s', '--json'])
    expect(JSON.parse(topic.out)).toMatchObject({ count: 4 })
    const errors = await run(['topic', 'stream-events', '--event-type', 'STREAM_ERROR', '--json'])
    expect(JSON.parse(errors.out)).toMatchObject({ count: 1 })
    const [first] = (JSON.parse(topic.out) as { events: { _replay: { partition: number } }[] })
      .events
    const at = String(first?._replay.partition)
    const part = await run(['partition', 'chat-events', at, '--from', '1', '--to', '3', '--json'])
    expect(JSON.parse(part.out)).toMatchObject({ count: 2 })
  })

  test('hands each event to a handler in order, and goes on from where one failed', async () => {
    const folder = tempDir()
    const seen = join(folder, 'seen')
    writeFileSync(
      join(folder, 'handler.ts'),
      `import { appendFileSync, existsSync } from 'node:fs'
       export default (event: { eventId: string; eventType: string }) => {
         if (event.eventType === 'STREAM_ERROR' && !existsSync(${JSON.stringify(`${seen}.ok`)})) throw new Error('not that one')
         appendFileSync(${JSON.stringify(seen)}, event.eventId + '\\n')
       }`,
    )
    const failed = await run(['session', 'c1', '--to', './handler.ts'], { folder })
    expect(failed.code).toBe(1)
    expect(failed.err).toContain('not that one')
    const cursor = /--cursor (\S+)/.exec(failed.err)?.[1] ?? ''
    writeFileSync(`${seen}.ok`, '')
    const done = await run(['session', 'c1', '--to', './handler.ts', '--cursor', cursor], {
      folder,
    })
    expect(done.code).toBe(0)
    expect((await Bun.file(seen).text()).trimEnd().split('\n')).toEqual(idsOf(teller.events))
  })

  test('posts each event to a webhook, again when it is away, with a key that tells a repeat', async () => {
    const taken: { key: string | null; event: { eventId: string } }[] = []
    let failures = 2
    const hook = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      async fetch(request) {
        failures -= 1
        if (failures >= 0) return new Response(null, { status: 503 })
        const event = (await request.json()) as { eventId: string }
        taken.push({ key: request.headers.get('idempotency-key'), event })
        return new Response()
      },
    })
    const { code, out } = await run(['session', 'c1', '--to-webhook', hook.url.href, '--json'])
    await hook.stop(true)
    expect(code).toBe(0)
    expect(JSON.parse(out)).toEqual({ count: 11, complete: true, missing: [] })
    expect(idsOf(taken.map(({ event }) => event))).toEqual(idsOf(teller.events))
    expect(taken.every(({ key, event }) => key === event.eventId)).toBe(true)
  })

  test('a webhook that refuses ends it with 1 and says where to go on', async () => {
    const hook = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch: () => new Response(null, { status: 400 }),
    })
    const { code, err } = await run(['session', 'c1', '--to-webhook', hook.url.href])
    await hook.stop(true)
    expect(code).toBe(1)
    expect(err).toContain('answered 400')
    expect(err).toContain('at the first event')
  })

  test.each([
    [[], 'what to replay'],
    [['session'], 'what to replay'],
    [['session', 'a', 'b'], 'what to replay'],
    [['partition', 't'], 'what to replay'],
    [['session', 'a', '--nonsense'], 'nonsense'],
    [['session', 'a', '--from', '-1h'], '--from is not for'],
    [['partition', 't', '0', '--event-type', 'X'], '--event-type is not for'],
    [['topic', 't', '--to', '-1h', '--to', '-2h'], '--to is given twice'],
    [['topic', 't', '--to', './a.ts', '--to-webhook', 'http://h'], 'one of'],
    [['session', 'a', '--to-webhook', 'nowhere'], 'http or https'],
    [['session', 'a', '--to', './no-such-file.ts'], 'cannot be loaded'],
    [['topic', 'chat-events', '--from', 'yesterday'], 'invalid_request'],
    [['session', 'a', '--cursor', 'x'], 'invalid_request'],
  ])('%p is a mistake in the command: 2', async (args, said) => {
    const { code, out, err } = await run(args)
    expect([code, out]).toEqual([2, ''])
    expect(err).toContain(said)
  })

  test('what the server refuses, and no server, is a failure: 1', async () => {
    const nobody = await run(['session', 'nobody'])
    expect([nobody.code, nobody.err]).toEqual([1, expect.stringContaining('404: not_found')])
    const unknown = await run(['session', 'c1'], { token: 'bad' })
    expect([unknown.code, unknown.err]).toEqual([
      1,
      expect.stringContaining('401: not_authenticated'),
    ])
    const free = Bun.serve({ port: 0, fetch: () => new Response() })
    const here = url
    const { origin } = free.url
    await free.stop(true)
    url = origin
    const away = await run(['session', 'c1']).finally(() => {
      url = here
    })
    expect([away.code, away.err]).toEqual([1, expect.stringContaining('no server at')])
  })

  test('as a process reads its token from the environment and exits with its code', async () => {
    const main = fileURLToPath(new URL('../../cli/replay/main.ts', import.meta.url))
    const start = (args: string[]) =>
      Bun.spawn([process.execPath, main, ...args], {
        env: { ...process.env, SLUICE_TOKEN: 'good' },
        stdout: 'pipe',
        stderr: 'pipe',
      })
    const help = start(['--help'])
    expect(await new Response(help.stdout).text()).toStartWith('Usage: bun run replay')
    expect(await help.exited).toBe(0)
    const shown = start(['session', 'c1', '--url', url])
    expect((await new Response(shown.stdout).text()).trimEnd().split('\n')).toHaveLength(12)
    expect(await shown.exited).toBe(0)
    const wrong = start(['nothing'])
    expect(await wrong.exited).toBe(2)
  })
})
