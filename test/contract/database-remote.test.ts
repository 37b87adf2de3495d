import { afterAll, beforeAll, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { codesOf, isOutage } from '#db/errors.ts'
import { type RemoteDatabase, remoteDatabase } from '#db/remote.ts'
import { opened } from '#test/support/tracker.ts'
import { databaseSuite } from './database.ts'

let database: RemoteDatabase
let thread: Worker
let ended: () => void
let first: Promise<unknown>
const folder = mkdtempSync(join(tmpdir(), 'sluice-remote-'))

function start(dataDir: string): Worker {
  const worker = new Worker(new URL('./database-remote-worker.ts', import.meta.url))
  worker.postMessage({ open: dataDir })
  return worker
}

function stop(worker: Worker): Promise<void> {
  return new Promise((resolve) => {
    worker.addEventListener('message', ({ data }: MessageEvent) => {
      if (data !== 'stopped') return
      worker.terminate()
      resolve()
    })
    worker.postMessage('stop')
  })
}

beforeAll(async () => {
  thread = start(join(folder, 'deep', 'postgres'))
  ended = opened('database thread')
  database = remoteDatabase(thread, { readyWithinMs: 50_000 })
  // Asked before anyone is there to answer.
  first = database.db.execute(sql`select 1 as one`)
  await first
}, 60_000)

afterAll(async () => {
  await stop(thread)
  await database[Symbol.asyncDispose]()
  ended()
  rmSync(folder, { recursive: true })
})

databaseSuite(() => database)

test('a statement that came before its host waits for it', async () => {
  expect(await first).toEqual([{ one: 1 }])
})

test('a statement of a thread that never answers is an outage after its time', async () => {
  const { port1, port2 } = new MessageChannel()
  await using silent = remoteDatabase(port1, { readyWithinMs: 20 })
  const error = await silent.db.execute(sql`select 1`).then(String, (failure: Error) => failure)
  expect(isOutage(error)).toBe(true)
  expect(await silent.health()).toEqual({ state: 'down', reason: 'not ready yet' })
  port1.close()
  port2.close()
})

test('what is under way when the thread is lost is an outage, and so is what comes', async () => {
  const other = remoteDatabase(thread)
  await other.db.execute(sql`select 1`)
  const underWay = other.db.execute(sql`select pg_sleep(0.2)`)
  other.lost('the thread has ended')
  for (const failing of [underWay, other.db.execute(sql`select 1`)]) {
    expect(codesOf(await failing.then(String, (error: Error) => error))).toEqual(['DATABASE_AWAY'])
  }
  expect(await other.health()).toEqual({ state: 'down', reason: 'the thread has ended' })
  await other[Symbol.asyncDispose]()
})

test('it has no transactions, and says so', async () => {
  expect(database.transaction(async () => undefined)).rejects.toThrow('no transactions')
})
