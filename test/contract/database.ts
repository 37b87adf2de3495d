import { expect, test } from 'bun:test'
import { sql } from 'drizzle-orm'
import type { Database } from '#db/client.ts'
import { codesOf, isOutage } from '#db/errors.ts'
import { migrate } from '#db/migrate.ts'
import { addConsumed } from '#db/queries/add-consumed.ts'
import { addOffsets } from '#db/queries/add-offsets.ts'
import { advanceOffsets } from '#db/queries/advance-offsets.ts'
import { moveOffset } from '#db/queries/move-offset.ts'
import { readOffsets } from '#db/queries/read-offsets.ts'
import { uuidv7 } from '#runtime/ids.ts'
import { analyticsSuite } from './db-analytics.ts'
import { auditSuite } from './db-audit.ts'
import { auditCopySuite } from './db-audit-copy.ts'
import { historySuite } from './db-history.ts'
import { searchSuite } from './db-search.ts'

/** What every database promises, with its tables in place; the instance is shared by the file. */
export function databaseSuite(database: () => Database): void {
  const unique = () => `g-${crypto.randomUUID()}`

  test('rows of a statement are objects with numbers, text times and parsed JSON', async () => {
    const rows = await database().db.execute(sql`
      select 9007199254740991::int8 as big, 1.5::float8 as small, '{"a":[1]}'::jsonb as json,
        null::text as nothing, '2026-01-02T03:04:05.678Z'::timestamptz as at`)
    expect(rows).toEqual([
      {
        big: 9007199254740991,
        small: 1.5,
        json: { a: [1] },
        nothing: null,
        at: '2026-01-02 03:04:05.678+00',
      },
    ])
  })

  test('an error tells its SQLSTATE, whose fault it is, and nothing of the parameters', async () => {
    const failing = database().db.execute(sql`select ${'a private word'}::text::uuid`)
    const error = await failing.then(String, (failure: Error) => failure)
    expect(codesOf(error)).toEqual(['22P02'])
    expect(isOutage(error)).toBe(false)
    expect(error instanceof Error ? error.message : '').not.toContain('private')
  })

  test('it is up', async () => {
    expect(await database().health()).toEqual({ state: 'up' })
  })

  test('a group begins where it is told, once', async () => {
    const { db } = database()
    const group = unique()
    const other = { topic: 'b', partition: 1, offset: 3 }
    await addOffsets(db, group, [{ topic: 'a', partition: 0, offset: 7 }])
    await addOffsets(db, group, [{ topic: 'a', partition: 0, offset: 0 }, other])
    expect(await readOffsets(db, group)).toEqual([{ topic: 'a', partition: 0, offset: 7 }, other])
    expect(await readOffsets(db, unique())).toEqual([])
  })

  test('an offset moves only from where it is or before, and never back', async () => {
    const { db } = database()
    const group = unique()
    const place = { groupId: group, topic: 't', partition: 0 }
    expect(await moveOffset(db, { ...place, first: 0, next: 4 })).toBe(false)
    await addOffsets(db, group, [{ ...place, offset: 0 }])
    expect(await moveOffset(db, { ...place, first: 0, next: 4 })).toBe(true)
    expect(await moveOffset(db, { ...place, first: 3, next: 9 })).toBe(false)
    expect(await moveOffset(db, { ...place, first: 6, next: 9 })).toBe(true)
    await advanceOffsets(db, group, [{ ...place, offset: 5 }])
    expect(await readOffsets(db, group)).toEqual([{ topic: 't', partition: 0, offset: 9 }])
    await advanceOffsets(db, group, [{ ...place, offset: 12 }])
    expect(await readOffsets(db, group)).toEqual([{ topic: 't', partition: 0, offset: 12 }])
  })

  test('an event counts once for a group, as it was written, also twice in one go', async () => {
    const { db } = database()
    const [group, other] = [unique(), unique()]
    const [first, second] = [uuidv7(Date.now()).toUpperCase(), uuidv7(Date.now())]
    expect(await addConsumed(db, group, [first, first, first.toLowerCase()])).toEqual([first])
    expect((await addConsumed(db, group, [second, first])).sort()).toEqual([second])
    expect(await addConsumed(db, other, [first])).toEqual([first])
    expect(await addConsumed(db, group, [])).toEqual([])
  })

  auditSuite(database)
  historySuite(database)
  searchSuite(database)
  analyticsSuite(database)
}

/** What a database promises that has transactions. */
export function transactionSuite(database: () => Database): void {
  const group = () => `g-${crypto.randomUUID()}`
  const place = { topic: 't', partition: 0 }

  test('migrating again changes nothing, also twice at once', async () => {
    const options = { nowMs: Date.now() }
    const kept = await Promise.all([migrate(database(), options), migrate(database(), options)])
    expect(kept).toEqual([none, none])
  })
  const none = { created: [], dropped: [], stray: [] }

  test('a transaction keeps all or nothing, and rejects with what it failed with', async () => {
    const name = group()
    const failure = new Error('on purpose')
    const failing = database().transaction(async (tx) => {
      await addOffsets(tx, name, [{ ...place, offset: 1 }])
      expect(await readOffsets(tx, name)).toHaveLength(1)
      throw failure
    })
    expect(await failing.catch((error) => error)).toBe(failure)
    expect(await readOffsets(database().db, name)).toEqual([])
    const answer = await database().transaction(async (tx) => {
      await addOffsets(tx, name, [{ ...place, offset: 2 }])
      return 'kept'
    })
    expect(answer).toBe('kept')
    expect(await readOffsets(database().db, name)).toEqual([{ ...place, offset: 2 }])
  })

  test('a statement that fails takes the transaction with it', async () => {
    const name = group()
    const failing = database().transaction(async (tx) => {
      await addOffsets(tx, name, [{ ...place, offset: 1 }])
      await tx.execute(sql`select 1 / 0`)
    })
    expect(codesOf(await failing.catch((error) => error))).toEqual(['22012'])
    expect(await readOffsets(database().db, name)).toEqual([])
  })

  auditCopySuite(database)
}
