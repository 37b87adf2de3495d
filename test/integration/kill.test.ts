import { expect, test } from 'bun:test'
import { sqliteLog } from '#eventlog/sqlite/sqlite-log.ts'
import { openStore } from '#eventlog/sqlite/store.ts'
import { seeded } from '../support/seeded.ts'
import { startSluice } from '../support/sluice-process.ts'
import { tempDir } from '../support/temp.ts'
import { until } from '../support/until.ts'
import { Watcher } from '../support/watcher.ts'

const kills = 100
const sessions = 4
const questions = ['/fast /long 1500', '/long 200', '/fast /long 300', '/reasoning /fast /long 500']

interface Asked {
  watcher: Watcher
  requestId: string
  content: string
}

interface LoggedEvent {
  eventId: string
  eventType: string
  sessionId: string
  messageId?: string
  epoch?: number
  seq?: number
  fromSeq?: number
}

test(`after each of ${kills} kills in the middle of answers nothing that was shown is lost, and every answer ends once`, async () => {
  const dataDir = tempDir('sluice-kill')
  const random = seeded(20_261)
  const all: Asked[] = []
  for (let kill = 0; kill < kills; kill += 1) {
    await using sluice = await startSluice({ dataDir })
    await endsOfTheKilled(sluice.url, all)
    const asked = await ask(sluice.url, kill, random)
    all.push(...asked)
    await Bun.sleep(20 + random() * 500)
    await sluice.kill('SIGKILL')
  }
  {
    await using sluice = await startSluice({ dataDir })
    await endsOfTheKilled(sluice.url, all)
    const messageIds = all.map(
      ({ watcher, requestId }) => watcher.accepted.get(requestId)?.messageId,
    )
    expect(new Set(messageIds).size).toBe(all.length)
    await expectAuditToEqualLog(sluice.url, dataDir)
  }
  for (const { watcher } of all) await watcher.close()
}, 400_000)

/** Whoever was cut comes back: to all that it saw, and an end within 2 s of listening. */
async function endsOfTheKilled(url: string, all: Asked[]): Promise<void> {
  const open = all.filter(({ watcher, requestId }) => {
    return !watcher.accepted.has(requestId) || !watcher.isDone
  })
  await Promise.all(
    open.map(async ({ watcher, requestId, content }) => {
      const hadCursor = watcher.cursor !== null
      await watcher.connect(url)
      await until(() => watcher.isLive, { timeoutMs: 10_000, what: 'the client is caught up' })
      if (hadCursor) expect(watcher.start).toBe('resumed')
      // Nobody knows whether it was accepted: it is asked again with the same key.
      if (!watcher.accepted.has(requestId)) {
        watcher.send({ type: 'chat', content, requestId })
        await until(() => watcher.accepted.has(requestId), { what: 'accepted' })
      }
      await until(() => watcher.isDone, { timeoutMs: 20_000, what: 'an end of each answer' })
      expect(watcher.faults).toEqual([])
      expect(watcher.misfits).toEqual([])
      await watcher.close()
    }),
  )
}

async function ask(url: string, kill: number, random: () => number): Promise<Asked[]> {
  return Promise.all(
    Array.from({ length: sessions }, async (_, at) => {
      const watcher = new Watcher(`kill-${kill}-${at}`)
      const requestId = `request-${kill}-${at}`
      await watcher.connect(url)
      await until(() => watcher.isLive, { what: 'live' })
      const content = questions[Math.floor(random() * questions.length)] ?? ''
      watcher.send({ type: 'chat', content, requestId })
      return { watcher, requestId, content }
    }),
  )
}

async function expectAuditToEqualLog(url: string, dataDir: string): Promise<void> {
  const events = await eventsOf(dataDir)
  expect(new Set(events.map(({ eventId }) => eventId)).size).toBe(events.length)
  expectDense(events)
  const audited = events.filter(({ eventType }) => eventType !== 'CHUNK_RECEIVED')
  const rows = await until(
    async () => {
      const response = await fetch(`${url}/api/audit`, {
        headers: { accept: 'application/x-ndjson' },
      })
      if (!response.ok) return null
      const ids = (await response.text())
        .trim()
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as { eventId: string; source: string })
        .filter(({ source }) => source.endsWith('-events'))
        .map(({ eventId }) => eventId)
      return ids.length >= audited.length ? ids : null
    },
    { timeoutMs: 60_000, everyMs: 500, what: 'the audit has every event' },
  )
  const known = new Set(rows)
  expect(known.size).toBe(rows?.length ?? 0)
  // Connections of this last process may still be told of meanwhile.
  expect(audited.filter(({ eventId }) => !known.has(eventId))).toEqual([])
}

function expectDense(events: LoggedEvent[]): void {
  const steps = new Map<string, Set<number>>()
  for (const { sessionId, epoch, seq, fromSeq = seq } of events) {
    if (seq === undefined || fromSeq === undefined) continue
    const key = `${sessionId} ${epoch}`
    const seen = steps.get(key) ?? new Set()
    for (let step = fromSeq; step <= seq; step += 1) seen.add(step)
    steps.set(key, seen)
  }
  expect(steps.size).toBeGreaterThanOrEqual(kills * sessions)
  const gaps = [...steps].filter(([, seen]) => Math.max(...seen) !== seen.size)
  expect(gaps.map(([key]) => key)).toEqual([])
}

async function eventsOf(dataDir: string): Promise<LoggedEvent[]> {
  using store = openStore({ dataDir, isOwner: false })
  await using log = sqliteLog(store)
  const events: LoggedEvent[] = []
  for (const { topic } of await log.topics()) {
    for (const { partition, from, to } of (await log.kept(topic)) ?? []) {
      for await (const page of log.read(
        { topic, partition, from, to },
        AbortSignal.timeout(60_000),
      )) {
        for (const { value } of page) {
          if (value !== null)
            events.push(JSON.parse(new TextDecoder().decode(value)) as LoggedEvent)
        }
      }
    }
  }
  return events
}
