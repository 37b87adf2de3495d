import { beforeAll, describe, expect, test } from 'bun:test'
import { fileURLToPath } from 'node:url'
import { sql } from 'drizzle-orm'
import { type RedriveWanted, redrive } from '#cli/dlq/redrive.ts'
import { headerOf } from '#consumers/read-record.ts'
import { heedResume, markedResume, markResume } from '#consumers/resume.ts'
import { sqliteLog } from '#eventlog/sqlite/sqlite-log.ts'
import { openStore } from '#eventlog/sqlite/store.ts'
import { dlqTopic, topics } from '#events/topics.ts'
import { quietLog } from '#runtime/log.ts'
import { Bench, type Parts } from '../contract/consumers-bench.ts'
import { recordFor, Teller, textRecord } from '../contract/consumers-events.ts'
import { postgresParts } from '../contract/consumers-parts.ts'
import { tempDir } from '../support/temp.ts'
import { until } from '../support/until.ts'

let parts: Parts
beforeAll(async () => {
  parts = await postgresParts()
})

const asked = (wanted: Partial<RedriveWanted> & { topic: string }) =>
  redrive(
    { place: null, isDryRun: false, ...wanted },
    {
      ...parts,
      actor: 'cli:ada',
      nodeId: 'n1',
      now: Date.now,
      signal: new AbortController().signal,
      progress: () => undefined,
    },
  )
const facts = async () =>
  (
    await parts.database.db.execute<{ event_data: Record<string, unknown>; user_id: string }>(sql`
      select user_id, event_data from audit_logs where event_type = 'DEAD_LETTER_REDRIVEN' order by timestamp, event_id`)
  ).map(({ user_id, event_data }) => ({ user_id, ...event_data }))

describe('redrive', () => {
  test('puts parked records back for their group alone, each once, and says so in the audit', async () => {
    const bench = await Bench.open(parts)
    const other = await Bench.open(parts)
    await bench.beginAtEnd()
    await other.beginAtEnd()
    let isBroken = true
    bench.run({ maxAttempts: 1 }, () => {
      if (isBroken) throw new Error('broken')
    })
    other.run()
    const events = [1, 2, 3].map((at) => new Teller(`s${at}`).tell('OF_A_NEW_TYPE', { at }))
    const records = events.map(recordFor)
    await bench.produce(records)
    const topic = dlqTopic(topics.stream, bench.groupId)
    await until(async () => (await bench.records(topic)).length === 3)
    await until(async () => (await other.handled()).length === 3)
    isBroken = false
    const before = await bench.records(topics.stream)
    const [letter] = await bench.records(topic)
    const { partition = -1, offset = -1 } = letter ?? {}
    expect(await asked({ topic, isDryRun: true })).toEqual({ redriven: 3, skipped: 0 })
    expect(await bench.records(topics.stream)).toEqual(before)
    expect(await facts()).toEqual([])

    expect(await asked({ topic, place: { partition, offset } })).toEqual({
      redriven: 1,
      skipped: 0,
    })
    expect(await asked({ topic })).toEqual({ redriven: 2, skipped: 1 })
    expect(await asked({ topic })).toEqual({ redriven: 0, skipped: 3 })
    expect(await asked({ topic, isDryRun: true })).toEqual({ redriven: 0, skipped: 3 })

    await until(async () => (await bench.handled()).length === 3)
    const back = (await bench.records(topics.stream)).slice(before.length)
    expect(back.map((record) => headerOf(record, 'redrive'))).toEqual(Array(3).fill(bench.groupId))
    expect(back.some(({ headers }) => headers.some(([name]) => name.startsWith('dlq-')))).toBe(
      false,
    )
    const original = back.find((record) => headerOf(record, 'ce_id') === events[0]?.eventId)
    const [sent] = records
    expect(original?.key).toEqual(sent?.key ?? null)
    expect(original?.value).toEqual(sent?.value ?? null)
    expect(original?.headers.slice(0, -1)).toEqual(sent?.headers ?? [])
    expect(original?.timestamp).toBe(sent?.timestamp ?? 0)
    const ids = (await bench.handled()).map(({ eventId }) => eventId)
    expect(ids.toSorted()).toEqual(events.map(({ eventId }) => eventId).toSorted())
    expect(await other.handled()).toHaveLength(3)
    const told = await facts()
    expect(told).toHaveLength(3)
    expect(told[0]).toMatchObject({
      topic,
      group: bench.groupId,
      partition,
      offset,
      user_id: 'cli:ada',
    })
  })

  test('two at once send once', async () => {
    const topic = dlqTopic(topics.chat, 'twice')
    const letters = Array.from({ length: 250 }, (_, at) => ({
      ...textRecord(topic, 'k', `${at}`),
      partition: 3,
      headers: [['dlq-topic', Buffer.from(topics.chat)]] as [string, Uint8Array][],
    }))
    await parts.eventLog.produce(letters)
    const [one, two] = await Promise.all([asked({ topic }), asked({ topic })])
    expect((one?.redriven ?? 0) + (two?.redriven ?? 0)).toBe(250)
    const kept = (await parts.eventLog.kept(topics.chat)) ?? []
    expect(kept.reduce((sum, { from, to }) => sum + to - from, 0)).toBe(250)
  })

  test('skips what is no dead letter of a topic that there is', async () => {
    const topic = dlqTopic(topics.chat, 'foreign')
    await parts.eventLog.produce([
      { ...textRecord(topic, 'k', 'x'), partition: 0 },
      {
        ...textRecord(topic, 'k', 'x'),
        partition: 0,
        headers: [['dlq-topic', Buffer.from('gone')]],
      },
    ])
    expect(await asked({ topic })).toEqual({ redriven: 0, skipped: 2 })
    expect(await asked({ topic: 'nothing.dlq' })).toBeNull()
    expect(await asked({ topic: topics.chat })).toBeNull()
    expect(asked({ topic, place: { partition: 0, offset: 9 } })).rejects.toThrow(
      'no such dead letter',
    )
  })
})

test('a group that is told to go on does so at once, and once', async () => {
  const { eventLog } = parts
  const stopping = new AbortController()
  let resumed = 0
  const consumer = { group: 'held', resume: () => (resumed += 1) } as never
  const askedAt = () => markedResume(eventLog, 'held')
  await markResume(eventLog, 'held', Date.now())
  const heeding = heedResume(consumer, { askedAt, log: quietLog, signal: stopping.signal })
  await Bun.sleep(20)
  expect(resumed).toBe(0)
  await markResume(eventLog, 'held', Date.now())
  await until(() => resumed === 1)
  stopping.abort()
  await heeding
})

describe('bun run dlq', () => {
  const main = fileURLToPath(new URL('../../cli/dlq/main.ts', import.meta.url))
  async function run(args: string[], dataDir: string) {
    const child = Bun.spawn([process.execPath, main, ...args], {
      env: { PATH: process.env['PATH'], DATA_DIR: dataDir },
      stdout: 'pipe',
      stderr: 'pipe',
    })
    const [out, err] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ])
    return { code: await child.exited, out, err }
  }

  test('redrives in a folder that nobody runs on, and resumes a group of one that somebody does', async () => {
    const dataDir = tempDir()
    const topic = dlqTopic(topics.stream, 'g')
    {
      using store = openStore({ dataDir })
      await using log = sqliteLog(store)
      await using member = await log.join({ group: 'g', topics: [topics.stream], from: 'end' })
      await member.commit([{ topic: topics.stream, partition: 0, offset: 0 }])
      await log.produce([
        {
          ...textRecord(topic, 'k', 'x'),
          partition: 0,
          headers: [['dlq-topic', Buffer.from(topics.stream)]],
        },
      ])
      const locked = await run(['redrive', topic, '--all'], dataDir)
      expect([locked.code, locked.out]).toEqual([1, ''])
      expect(locked.err).toContain(String(process.pid))
      expect(await run(['resume', 'g'], dataDir)).toMatchObject({ code: 0, err: '' })
      expect((await run(['resume', 'nobody'], dataDir)).err).toBe('there is no group nobody\n')
      expect(await markedResume(log, 'g')).toBeGreaterThan(0)
    }
    const first = await run(['redrive', topic, '--all', '--json'], dataDir)
    expect([first.code, first.out, first.err]).toEqual([0, '{"redriven":1,"skipped":0}\n', ''])
    const second = await run(['redrive', topic, '--all'], dataDir)
    expect(second.out).toBe('0 put back, 1 skipped\n')
    const none = await run(['redrive', 'nothing.dlq', '--all'], dataDir)
    expect([none.code, none.err]).toEqual([1, 'there is no dead-letter topic nothing.dlq\n'])
  }, 60_000)

  test.each([
    [['redrive', 'a.dlq']],
    [['redrive', 'a.dlq', '--partition', '1']],
    [['redrive', 'a.dlq', '--all', '--offset', '1']],
    [['resume']],
  ])('%p is no way to call it', async (args) => {
    const ended = await run(args, tempDir())
    expect([ended.code, ended.out]).toEqual([2, ''])
  })
})
