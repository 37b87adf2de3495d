import { expect, test } from 'bun:test'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { sql } from 'drizzle-orm'
import { isOutage } from '#db/errors.ts'
import { migrate } from '#db/migrate.ts'
import { postgresDatabase } from '#db/postgres.ts'
import { addOffsets } from '#db/queries/add-offsets.ts'
import { moveOffset } from '#db/queries/move-offset.ts'
import { readOffsets } from '#db/queries/read-offsets.ts'
import { testDatabase } from '#test/support/postgres.ts'
import { postgresFixture } from '#test/support/postgres-fixture.ts'
import { opened } from '#test/support/tracker.ts'
import { until } from '#test/support/until.ts'

const fixture = postgresFixture()

const failureOf = (promise: Promise<unknown>) =>
  promise.then(
    () => null,
    (error) => error,
  )

/** A way to the server that can be cut or fall silent. */
class Line implements AsyncDisposable {
  isSilent = false
  readonly #sockets = new Set<Socket>()
  readonly #server: Server
  readonly #closed = opened('line to Postgres')

  constructor(to: URL) {
    this.#server = createServer((near) => {
      const far = connect(Number(to.port), to.hostname)
      for (const [socket, other] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(socket)
        socket.on('data', (bytes) => {
          if (!this.isSilent) other.write(bytes)
        })
        socket.on('error', () => other.destroy())
        socket.on('close', () => other.destroy())
      }
    })
  }

  async url(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    const address = this.#server.address()
    const url = new URL(fixture.server.url)
    if (typeof address === 'object' && address !== null) url.port = String(address.port)
    return url.href
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
    this.#sockets.clear()
  }

  async [Symbol.asyncDispose]() {
    this.cut()
    await new Promise((resolve) => this.#server.close(resolve))
    this.#closed()
  }
}

test('of two members that believe that a partition is theirs, one moves the offset', async () => {
  const place = { topic: 't', partition: 0 }
  await addOffsets(fixture.database.db, 'fence', [{ ...place, offset: 0 }])
  const move = { groupId: 'fence', ...place, first: 0, next: 5 }
  const held = Promise.withResolvers<void>()
  const moved = Promise.withResolvers<void>()
  const first = fixture.database.transaction(async (tx) => {
    const isMoved = await moveOffset(tx, move)
    moved.resolve()
    await held.promise
    return isMoved
  })
  await moved.promise
  let isSecondDone = false
  const second = fixture.database
    .transaction((tx) => moveOffset(tx, { ...move, next: 3 }))
    .finally(() => {
      isSecondDone = true
    })
  const isWaiting = sql`select 1 from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'`
  await until(async () => (await fixture.database.db.execute(isWaiting)).length === 1)
  expect(isSecondDone).toBe(false)
  held.resolve()
  expect(await Promise.all([first, second])).toEqual([true, false])
  expect(await readOffsets(fixture.database.db, 'fence')).toEqual([{ ...place, offset: 5 }])
})

test('when the first of two rolls back, the second moves the offset', async () => {
  const place = { topic: 't', partition: 1 }
  await addOffsets(fixture.database.db, 'fence-2', [{ ...place, offset: 0 }])
  const move = { groupId: 'fence-2', ...place, first: 0, next: 5 }
  const moved = Promise.withResolvers<void>()
  const first = fixture.database.transaction(async (tx) => {
    await moveOffset(tx, move)
    moved.resolve()
    throw new Error('on purpose')
  })
  const second = moved.promise.then(() =>
    fixture.database.transaction((tx) => moveOffset(tx, move)),
  )
  expect(await failureOf(first)).toEqual(new Error('on purpose'))
  expect(await second).toBe(true)
})

test('no server at the address is an outage, and health says why', async () => {
  await using nobody = postgresDatabase('postgres://postgres@127.0.0.1:1/nothing')
  expect(isOutage(await failureOf(nobody.db.execute(sql`select 1`)))).toBe(true)
  expect(isOutage(await failureOf(nobody.transaction(async () => 1)))).toBe(true)
  expect(await nobody.health()).toMatchObject({
    state: 'down',
    reason: expect.stringMatching(/\w/),
  })
})

test('a database without our tables is an outage: they may come', async () => {
  await using empty = await testDatabase()
  await using early = postgresDatabase(empty.url)
  expect(isOutage(await failureOf(readOffsets(early.db, 'g')))).toBe(true)
})

test('processes that start together make the tables and partitions once', async () => {
  await using empty = await testDatabase()
  await using one = postgresDatabase(empty.url)
  await using two = postgresDatabase(empty.url)
  const options = { nowMs: Date.UTC(2026, 10, 25) }
  const kept = await Promise.all([migrate(one, options), migrate(two, options)])
  const created = kept.flatMap((each) => each.created)
  expect(created).toHaveLength(10)
  expect(new Set(created).size).toBe(10)
})

test('a statement that the server ends for its time is an outage, and the connection goes on', async () => {
  await using hasty = postgresDatabase(fixture.server.url, { statementTimeoutMs: 50, max: 1 })
  expect(isOutage(await failureOf(hasty.db.execute(sql`select pg_sleep(5)`)))).toBe(true)
  expect(await hasty.db.execute(sql`select 1 as one`)).toEqual([{ one: 1 }])
})

test('a line that is cut is an outage, and the next statement connects again', async () => {
  await using line = new Line(new URL(fixture.server.url))
  await using far = postgresDatabase(await line.url(), { max: 1 })
  await far.db.execute(sql`select 1`)
  const sleeping = failureOf(far.db.execute(sql`select pg_sleep(5)`))
  await until(async () => {
    const rows = await fixture.database.db.execute(
      sql`select 1 from pg_stat_activity where query like 'select pg_sleep(5)%' and state = 'active'`,
    )
    return rows.length > 0
  })
  line.cut()
  expect(isOutage(await sleeping)).toBe(true)
  await until(async () => (await failureOf(far.db.execute(sql`select 1`))) === null)
})

test('a server that falls silent is an outage in time, also inside a transaction', async () => {
  await using line = new Line(new URL(fixture.server.url))
  await using far = postgresDatabase(await line.url(), { statementTimeoutMs: 300 })
  await far.db.execute(sql`select 1`)
  const inside = failureOf(
    far.transaction(async (tx) => {
      await tx.execute(sql`select 1`)
      line.isSilent = true
      await tx.execute(sql`select 2`)
    }),
  )
  expect(isOutage(await inside)).toBe(true)
  expect(isOutage(await failureOf(far.db.execute(sql`select 3`)))).toBe(true)
  expect(isOutage(await failureOf(far.transaction(async () => 1)))).toBe(true)
  expect(await far.health()).toMatchObject({ state: 'down' })
  line.isSilent = false
  await until(async () => (await failureOf(far.db.execute(sql`select 4`))) === null, {
    timeoutMs: 10_000,
  })
}, 30_000)
