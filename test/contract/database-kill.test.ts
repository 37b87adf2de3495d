import { afterAll, beforeAll, expect, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { codesOf, isOutage } from '#db/errors.ts'
import { pgliteDatabase } from '#db/pglite.ts'
import { readOffsets } from '#db/queries/read-offsets.ts'

const folder = mkdtempSync(join(tmpdir(), 'sluice-kill-'))
const dataDir = join(folder, 'postgres')
let acknowledged = 0

beforeAll(async () => {
  const program = join(import.meta.dir, 'database-kill-process.ts')
  const child = Bun.spawn([process.execPath, program, dataDir], { stdout: 'pipe' })
  let text = ''
  for await (const bytes of child.stdout) {
    text += new TextDecoder().decode(bytes)
    if (text.split('\n').length > 200 && !child.killed) child.kill('SIGKILL')
  }
  await child.exited
  acknowledged = Number(text.split('\n').at(-2))
}, 60_000)

afterAll(() => rmSync(folder, { recursive: true }))

test('what was acknowledged before a kill is there after it', async () => {
  expect(acknowledged).toBeGreaterThan(100)
  await using database = await pgliteDatabase(dataDir)
  const [row] = await readOffsets(database.db, 'killed')
  expect(row?.offset).toBeWithin(acknowledged, acknowledged + 3)
}, 30_000)

test('a closed one answers with an outage', async () => {
  const database = await pgliteDatabase(dataDir)
  await database[Symbol.asyncDispose]()
  const error = await readOffsets(database.db, 'g').then(String, (failure: Error) => failure)
  expect(codesOf(error)).toEqual(['DATABASE_AWAY'])
  expect(isOutage(await database.transaction(async () => 1).catch((failure) => failure))).toBe(true)
  expect(await database.health()).toMatchObject({ state: 'down' })
}, 30_000)

test('a folder whose making was cut short is made anew', async () => {
  writeFileSync(`${dataDir}.unfinished`, '')
  rmSync(join(dataDir, 'global'), { recursive: true })
  {
    await using database = await pgliteDatabase(dataDir)
    expect(await database.health()).toEqual({ state: 'up' })
  }
  await using again = await pgliteDatabase(dataDir)
  expect(await again.health()).toEqual({ state: 'up' })
}, 30_000)
