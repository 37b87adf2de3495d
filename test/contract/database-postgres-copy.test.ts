import { expect, test } from 'bun:test'
import { sql } from 'drizzle-orm'
import type { Database } from '#db/client.ts'
import { isOutage } from '#db/errors.ts'
import { postgresDatabase } from '#db/postgres.ts'
import { type AuditLog, addAuditLogs } from '#db/queries/add-audit-logs.ts'
import { readAudit } from '#db/queries/read-audit.ts'
import { testDatabase } from '#test/support/postgres.ts'
import { postgresFixture } from '#test/support/postgres-fixture.ts'
import { until } from '#test/support/until.ts'
import { auditLog } from './db-audit-copy.ts'

const tenantId = 't'
const fixture = postgresFixture()

const add = (logs: readonly AuditLog[], to: Database = fixture.database) =>
  to.transaction((tx) => addAuditLogs(tx, logs, { areNew: true }))

const waiting = async () => {
  const rows = await fixture.database.db.execute<{ pid: number }>(sql`
    select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`)
  return rows.map(({ pid }) => pid)
}

/** Whoever adds these too waits until `end` is called. */
async function adding(logs: readonly AuditLog[]) {
  const added = Promise.withResolvers<void>()
  const ended = Promise.withResolvers<void>()
  const whole = fixture.database.transaction(async (tx) => {
    await addAuditLogs(tx, logs, { areNew: true })
    added.resolve()
    await ended.promise
  })
  await added.promise
  return async () => {
    ended.resolve()
    await whole
  }
}

test('of two that copy the same event at once, one finds it there', async () => {
  const [own, both, other] = [1, 2, 3].map((seq) => auditLog({ tenantId, seq }))
  if (own === undefined || both === undefined || other === undefined) throw new Error('none')
  const end = await adding([own, both])
  const second = add([both, other])
  await until(async () => (await waiting()).length === 1)
  await end()
  expect(await second).toBe(1)
  expect((await readAudit(fixture.database.db, { tenantId }, { limit: 10 })).rows).toHaveLength(3)
})

test('a copy whose connection is lost after its last byte is an outage, and the next goes on', async () => {
  await using far = postgresDatabase(fixture.server.url, { max: 1 })
  const log = auditLog({ tenantId })
  const end = await adding([log])
  const lost = add([log], far).then(
    () => null,
    (error) => error,
  )
  await until(async () => (await waiting()).length === 1)
  await fixture.database.db.execute(sql`
    select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'`)
  expect(isOutage(await lost)).toBe(true)
  await end()
  expect(await add([log], far)).toBe(0)
})

test('a copy that takes too long is ended by the server, and is an outage', async () => {
  await using hasty = postgresDatabase(fixture.server.url, { max: 1, statementTimeoutMs: 200 })
  const log = auditLog({ tenantId })
  const end = await adding([log])
  expect(isOutage(await add([log], hasty).catch((error) => error))).toBe(true)
  await end()
})

test('a copy into a table that is not there is an outage', async () => {
  await using bare = await testDatabase()
  await using empty = postgresDatabase(bare.url, { max: 1 })
  expect(isOutage(await add([auditLog({ tenantId })], empty).catch((error) => error))).toBe(true)
  expect(await empty.db.execute(sql`select 1 as one`)).toEqual([{ one: 1 }])
})

// In `node`, for there a connection can be reset; in a process of its own, for bytes and reset to come together.
const resettingLine = `
  import { connect, createServer } from 'node:net'
  const open = new Set()
  const line = createServer((near) => {
    const far = connect(Number(process.argv[1]), process.argv[2])
    open.add(near)
    near.on('close', () => { open.delete(near); far.destroy() })
    far.on('close', () => near.destroy())
    for (const socket of [near, far]) socket.on('error', () => undefined)
    near.pipe(far)
    far.pipe(near)
  })
  line.listen(0, '127.0.0.1', () => console.log(line.address().port))
  const reset = () => {
    for (const near of open) near.resetAndDestroy()
    setTimeout(reset, 10 + Math.random() * 60)
  }
  reset()
`

test('a copy whose connection is reset is an outage, at whatever instant', async () => {
  const { port, hostname } = new URL(fixture.server.url)
  const command = ['node', '--input-type=module', '-e', resettingLine, port || '5432', hostname]
  const child = Bun.spawn(command, { stdin: 'ignore', stdout: 'pipe', stderr: 'inherit' })
  const { value } = await child.stdout.getReader().read()
  const url = new URL(fixture.server.url)
  url.port = new TextDecoder().decode(value).trim()
  const far = postgresDatabase(url.href, { max: 2 })
  const eventData = { padding: 'x'.repeat(500) }
  const untilMs = performance.now() + 2_000
  let resets = 0
  const adding = async () => {
    while (performance.now() < untilMs) {
      const logs = Array.from({ length: 500 }, () => auditLog({ tenantId: 'reset', eventData }))
      try {
        await add(logs, far)
      } catch (error) {
        expect(isOutage(error)).toBe(true)
        resets += 1
      }
    }
  }
  // What nobody catches would fail the run.
  await Promise.all([adding(), adding()])
  expect(resets).toBeGreaterThan(5)
  await far[Symbol.asyncDispose]()
  child.kill()
  await child.exited
}, 20_000)
