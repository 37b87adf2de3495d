import { beforeAll, describe, expect, test } from 'bun:test'
import { fileURLToPath } from 'node:url'
import { sqliteLog } from '#eventlog/sqlite/sqlite-log.ts'
import { openStore } from '#eventlog/sqlite/store.ts'
import { dlqTopic, topics } from '#events/topics.ts'
import { Teller, textRecord } from '../contract/consumers-events.ts'
import { tempDir } from '../support/temp.ts'
import { atEnd } from '../support/tracker.ts'

// A folder whose process runs: this one.
const group = 'search.indexer'
const topic = dlqTopic(topics.stream, group)
let dataDir = ''

beforeAll(async () => {
  dataDir = tempDir()
  const store = openStore({ dataDir })
  const eventLog = sqliteLog(store)
  const member = await eventLog.join({ group, topics: [topics.stream], from: 'beginning' })
  atEnd(async () => {
    await member[Symbol.asyncDispose]()
    store[Symbol.dispose]()
  })
  const events = [1, 2, 3].map((at) => new Teller('s', { atMs: Date.now() - at * 60_000 }))
  await eventLog.produce(
    events.map((teller) => ({
      ...textRecord(topics.stream, 's', JSON.stringify(teller.tell('X'))),
      partition: 2,
      timestamp: teller.atMs,
    })),
  )
  await member.commit([{ topic: topics.stream, partition: 2, offset: 1 }])
  await eventLog.produce([
    { ...textRecord(topic, 'k\u001b[2J', 'bro\u001b[2Jken'), partition: 0 },
    { ...textRecord(topic, 'k', null), partition: 0 },
    { ...textRecord(topic, 'k', ''), partition: 1, value: new Uint8Array([0xff, 0xfe]) },
  ])
})

async function run(command: 'lag' | 'dlq', args: string[], folder = dataDir) {
  const main = fileURLToPath(new URL(`../../cli/${command}/main.ts`, import.meta.url))
  const child = Bun.spawn([process.execPath, main, ...args], {
    env: { ...process.env, DATA_DIR: folder },
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ])
  return { code: await child.exited, out, err }
}

describe('bun run lag', () => {
  test('tells what each group has committed and what waits, while Sluice runs', async () => {
    const { code, out } = await run('lag', ['--json'])
    expect(code).toBe(0)
    const lags = JSON.parse(out) as Record<string, unknown>[]
    const place = { group, topic: topics.stream, partition: 2 }
    expect(lags).toMatchObject([{ ...place, committed: 1, end: 3, lag: 2 }])
    expect(lags[0]?.['lagSeconds']).toBeGreaterThan(100)
    const drawn = await run('lag', [])
    expect(drawn.out.split('\n')[0]).toMatch(
      /^GROUP +TOPIC +PARTITION +COMMITTED +END +LAG +LAGSECONDS$/,
    )
    expect(drawn.out).toContain(group)
  })

  test('without a folder fails with 1, with a wrong option 2', async () => {
    const none = await run('lag', [], '/nowhere')
    expect([none.code, none.err]).toEqual([1, 'there is no Sluice in /nowhere\n'])
    expect((await run('lag', ['--nonsense'])).code).toBe(2)
    expect((await run('lag', ['--help'])).out).toStartWith('Usage: bun run lag')
  })
})

describe('bun run dlq', () => {
  test('lists what was parked, by group', async () => {
    const { code, out } = await run('dlq', ['list', '--json'])
    expect(code).toBe(0)
    const [letters, ...others] = JSON.parse(out) as Record<string, string>[]
    expect(others).toEqual([])
    expect(letters).toMatchObject({ topic, group, count: 3 })
    expect(Date.parse(letters?.['oldest'] ?? '')).toBeGreaterThan(Date.now() - 60_000)
    expect((await run('dlq', ['list'])).out).toContain(topic)
  })

  test('shows the records, text as text and the rest as base64', async () => {
    const shown = async (...args: string[]) =>
      JSON.parse((await run('dlq', ['show', topic, '--json', ...args])).out) as object[]
    expect(await shown()).toEqual([
      { partition: 0, offset: 0, key: 'k\u001b[2J', value: 'bro\u001b[2Jken', headers: {} },
      { partition: 0, offset: 1, key: 'k', value: null, headers: {} },
      { partition: 1, offset: 0, key: 'k', valueBase64: '//4=', headers: {} },
    ])
    expect(await shown('--partition', '0', '--offset', '1')).toHaveLength(1)
    expect(await shown('--limit', '2')).toHaveLength(2)
    const drawn = await run('dlq', ['show', topic])
    expect(drawn.out).not.toContain('\u001b')
    expect(drawn.out).toContain('base64 //4=')
  })

  test.each([
    [[], 2, 'what to do'],
    [['show'], 2, 'what to do'],
    [['redrive', topic], 2, 'either --all, or --partition and --offset'],
    [['show', topic, '--offset', '1'], 2, '--offset wants --partition'],
    [['show', topic, '--limit', '0'], 2, '--limit must be'],
    [['show', 'stream-events'], 1, 'there is no dead-letter topic'],
  ])('%p ends with %d', async (args, code, said) => {
    const ended = await run('dlq', args)
    expect([ended.code, ended.out]).toEqual([code, ''])
    expect(ended.err).toContain(said)
  })
})
