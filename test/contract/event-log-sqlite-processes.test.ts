import { expect, test } from 'bun:test'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DataDirInUse, DataDirUnusable } from '#eventlog/sqlite/lock.ts'
import { sqliteLog } from '#eventlog/sqlite/sqlite-log.ts'
import { openStore } from '#eventlog/sqlite/store.ts'
import { tempDir } from '../support/temp.ts'
import { atEnd, opened } from '../support/tracker.ts'
import { until } from '../support/until.ts'
import { numbered, readAll, sorted, text, upTo } from './event-log-adapter.ts'

const program = join(import.meta.dir, 'event-log-sqlite-process.ts')

/** A process with a store of its own, killed at the end of the test. */
function start(dataDir: string, task: 'hold' | 'write') {
  const child = Bun.spawn([process.execPath, program, dataDir, task], {
    stdout: 'pipe',
    stderr: 'inherit',
  })
  const closed = opened(`process ${child.pid}`)
  const kill = async () => {
    child.kill('SIGKILL')
    await child.exited
    await reading
    closed()
  }
  atEnd(kill)
  let said = ''
  const reading = (async () => {
    const decoder = new TextDecoder()
    for await (const chunk of child.stdout) said += decoder.decode(chunk)
  })()
  const lines = () => said.split('\n').slice(0, -1)
  return {
    child,
    kill,
    lines,
    isOpen: () => until(() => lines()[0] === 'open', { timeoutMs: 15_000 }),
  }
}

const failureOf = (run: () => unknown): unknown => {
  try {
    run()
    return null
  } catch (error) {
    return error
  }
}

test('a folder that a process has is refused to another, which names folder and process', async () => {
  const dataDir = tempDir()
  const holder = start(dataDir, 'hold')
  await holder.isOpen()
  const failure = failureOf(() => openStore({ dataDir }))
  expect(failure).toBeInstanceOf(DataDirInUse)
  expect(failure).toMatchObject({
    message: `DATA_DIR ${dataDir} is in use by process ${holder.child.pid}`,
    pid: holder.child.pid,
  })
})

test('a folder is free again at once after a kill -9', async () => {
  const dataDir = tempDir()
  const holder = start(dataDir, 'hold')
  await holder.isOpen()
  await holder.kill()
  expect(existsSync(join(dataDir, 'sluice.pid'))).toBe(true)
  using store = openStore({ dataDir })
  expect(store.topics.size).toBe(2)
  expect(readFileSync(join(dataDir, 'sluice.pid'), 'utf8')).toBe(`${process.pid}\n`)
})

test('a try that is refused does not loosen the lock', async () => {
  const dataDir = tempDir()
  using _store = openStore({ dataDir })
  expect(failureOf(() => openStore({ dataDir }))).toBeInstanceOf(DataDirInUse)
  const other = start(dataDir, 'hold')
  await other.child.exited
  await until(() => other.lines().length > 0)
  expect(other.lines()).toEqual([
    `DataDirInUse: DATA_DIR ${dataDir} is in use by process ${process.pid}`,
  ])
  expect(other.child.exitCode).toBe(1)
})

test('a folder is free after the store is closed, and a connection without the lock needs none', () => {
  const dataDir = join(tempDir(), 'made', 'here')
  for (const _round of [1, 2]) {
    using store = openStore({ dataDir })
    using second = openStore({ dataDir, isOwner: false })
    expect(second.topics).toEqual(store.topics)
  }
})

test('a folder that cannot be made, or a file that is no database, is named', () => {
  const folder = tempDir()
  writeFileSync(join(folder, 'file'), 'not a folder')
  for (const dataDir of [join(folder, 'file'), join(folder, 'file', 'below')]) {
    const failure = failureOf(() => openStore({ dataDir }))
    expect(failure).toBeInstanceOf(DataDirUnusable)
    expect(String(failure)).toContain(`DATA_DIR ${dataDir} cannot be used: `)
  }
  const dataDir = join(folder, 'damaged')
  mkdirSync(dataDir)
  writeFileSync(join(dataDir, 'sluice.sqlite'), 'x'.repeat(10_000))
  expect(failureOf(() => openStore({ dataDir }))).toBeInstanceOf(DataDirUnusable)
  // The failure has let the folder go.
  writeFileSync(join(dataDir, 'sluice.sqlite'), '')
  using store = openStore({ dataDir })
  expect(store.topics.size).toBe(2)
})

test('a kill -9 of a writer loses no record that was acknowledged', async () => {
  const dataDir = tempDir()
  let before = 0
  for (const acknowledged of [200, 700, 1_500]) {
    const writer = start(dataDir, 'write')
    const acknowledgedOf = () => Number(writer.lines().at(-1) ?? 0)
    await until(() => acknowledgedOf() >= acknowledged, { timeoutMs: 15_000 })
    await writer.kill()
    using store = openStore({ dataDir })
    const records = await readAll(sqliteLog(store), { topic: 'stream-events', partition: 0 })
    const written = records.slice(before)
    expect(written.length).toBeGreaterThanOrEqual(acknowledgedOf())
    // A transaction is there whole or not at all.
    expect(written.length % 20).toBe(0)
    for (const [at, { offset, value }] of written.entries()) {
      expect(offset).toBe(before + at)
      expect(text(value)).toBe(`${at} ${'x'.repeat(at % 3_000)}`)
    }
    expect(store.db.query('PRAGMA integrity_check').values()).toEqual([['ok']])
    before = records.length
  }
})

test('a thread consumes what the main one writes, each record once, and the folder stays locked', async () => {
  const dataDir = tempDir()
  using store = openStore({ dataDir })
  const log = sqliteLog(store)
  const worker = new Worker(join(import.meta.dir, 'event-log-sqlite-thread.ts'), {
    argv: [dataDir],
  })
  const closed = opened('worker thread')
  const found: number[] = []
  let isReady = false
  worker.onmessage = ({ data }: MessageEvent<'ready' | number[]>) => {
    if (data === 'ready') isReady = true
    else found.push(...data)
  }
  await until(() => isReady, { timeoutMs: 15_000 })
  const records = numbered('stream-events', 2_000)
  for (let at = 0; at < records.length; at += 10) {
    await log.produce(records.slice(at, at + 10))
    if (at % 100 === 0) await Bun.sleep(1)
  }
  await until(() => found.length >= records.length, { timeoutMs: 15_000 })
  expect(sorted(found)).toEqual(upTo(records.length))
  const committed = async () =>
    (await log.committed('thread')).reduce((sum, { offset }) => sum + offset, 0)
  await until(async () => (await committed()) === records.length)
  const ended = new Promise((resolve) => worker.addEventListener('close', resolve))
  worker.terminate()
  await ended
  closed()
  const other = start(dataDir, 'hold')
  await until(() => other.lines().length > 0, { timeoutMs: 15_000 })
  expect(other.lines()[0]).toStartWith('DataDirInUse')
  await log.produce(numbered('stream-events', 1))
})
