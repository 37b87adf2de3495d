import { expect, test } from 'bun:test'
import type { Database } from '#db/client.ts'
import { addAuditFact } from '#db/queries/add-audit-fact.ts'
import { type AuditLog, addAuditLogs } from '#db/queries/add-audit-logs.ts'
import { findSessionOffsets } from '#db/queries/find-session-offsets.ts'
import {
  type AuditCursor,
  parseAuditCursor,
  readAudit,
  streamAudit,
  writeAuditCursor,
} from '#db/queries/read-audit.ts'
import { readAuditStats } from '#db/queries/read-audit-stats.ts'
import { timeOfUuid, uuidv7 } from '#runtime/ids.ts'

const startMs = Date.now() - 60_000

/** A row of a tenant of its own, one minute ago. */
function log(fields: Partial<AuditLog> & { tenantId: string }): AuditLog {
  const eventId = fields.eventId ?? uuidv7(startMs)
  return {
    eventType: 'STREAM_STARTED',
    userId: 'ada',
    conversationId: 's1',
    messageId: null,
    sessionId: 's1',
    epoch: 1_700_000_000_000_001,
    seq: 1,
    eventData: { eventId, model: 'demo' },
    source: 'stream-events',
    topicPartition: 3,
    topicOffset: 41,
    ...fields,
    eventId,
    timestamp: new Date(timeOfUuid(eventId)).toISOString(),
  }
}

export function auditSuite(database: () => Database): void {
  const tenant = () => `t-${crypto.randomUUID()}`
  const ids = ({ rows }: { rows: { eventId: string }[] }) => rows.map(({ eventId }) => eventId)

  test('an audited event is one row as it was first delivered, however often it comes', async () => {
    const { db } = database()
    const tenantId = tenant()
    const first = log({ tenantId, messageId: 'm1' })
    const again = { ...first, topicOffset: 99 }
    expect(await addAuditLogs(db, [first, again])).toBe(1)
    expect(await addAuditLogs(db, [again, log({ tenantId })])).toBe(1)
    expect(await addAuditLogs(db, [])).toBe(0)
    const { rows } = await readAudit(db, { tenantId, messageId: 'm1' }, { limit: 10 })
    expect(rows).toEqual([{ ...first, createdAt: expect.any(String) }])
    expect(Math.abs(Date.parse(rows[0]?.createdAt ?? '') - Date.now())).toBeLessThan(60_000)
  })

  test('what is done to the log from outside is in the audit', async () => {
    const { db } = database()
    const tenantId = tenant()
    const atMs = Date.now()
    await addAuditFact(db, {
      source: 'replay',
      eventId: uuidv7(atMs),
      eventType: 'REPLAY_STARTED',
      timestamp: new Date(atMs).toISOString(),
      tenantId,
      userId: 'cli:root',
      sessionId: 's1',
      eventData: { replayId: 'r1' },
    })
    const { rows } = await readAudit(db, { tenantId, sessionId: 's1' }, { limit: 10 })
    expect(rows).toMatchObject([
      { source: 'replay', topicOffset: null, seq: null, eventData: { replayId: 'r1' } },
    ])
    expect(await findSessionOffsets(db, { tenantId, sessionId: 's1' })).toEqual([])
  })

  test('every filter of the audit leaves out what it says, and other tenants always', async () => {
    const { db } = database()
    const tenantId = tenant()
    const base = log({ tenantId })
    const rows: Record<string, AuditLog> = {
      user: log({ tenantId, userId: 'bob' }),
      session: log({ tenantId, sessionId: 's2' }),
      conversation: log({ tenantId, conversationId: 'c2' }),
      message: log({ tenantId, messageId: 'm2' }),
      type: log({ tenantId, eventType: 'CHAT_MESSAGE' }),
      error: log({ tenantId, eventType: 'STREAM_ERROR' }),
      failed: log({ tenantId, eventType: 'RECOVERY_ATTEMPT', eventData: { success: false } }),
      resumed: log({ tenantId, eventType: 'RECOVERY_ATTEMPT', eventData: { success: true } }),
      old: log({ tenantId, eventId: uuidv7(startMs - 3_600_000) }),
    }
    await addAuditLogs(db, [base, log({ tenantId: tenant() }), ...Object.values(rows)])
    const found = async (filter: object) =>
      ids(await readAudit(db, { tenantId, ...filter }, { limit: 100 })).sort()
    const wanted = (...names: string[]) => names.map((name) => rows[name]?.eventId ?? '').sort()
    expect(await found({})).toHaveLength(10)
    expect(await found({ userId: 'bob' })).toEqual(wanted('user'))
    expect(await found({ sessionId: 's2' })).toEqual(wanted('session'))
    expect(await found({ conversationId: 'c2' })).toEqual(wanted('conversation'))
    expect(await found({ messageId: 'm2' })).toEqual(wanted('message'))
    expect(await found({ eventType: 'CHAT_MESSAGE' })).toEqual(wanted('type'))
    expect(await found({ errors: true })).toEqual(wanted('error', 'failed'))
    expect(await found({ toMs: startMs })).toEqual(wanted('old'))
    expect(await found({ fromMs: startMs - 3_600_000, toMs: startMs })).toEqual(wanted('old'))
    expect(await found({ fromMs: startMs })).toHaveLength(9)
    expect(await readAuditStats(db, { tenantId, errors: true })).toEqual({
      total: 2,
      counts: { RECOVERY_ATTEMPT: 1, STREAM_ERROR: 1 },
    })
    expect(await readAuditStats(db, { tenantId: tenant() })).toEqual({ total: 0, counts: {} })
  })

  test('pages of the audit hold every row once, newest first, though many share an instant', async () => {
    const { db } = database()
    const tenantId = tenant()
    const logs = Array.from({ length: 25 }, (_, index) =>
      log({ tenantId, eventId: uuidv7(startMs + Math.floor(index / 10)) }),
    )
    await addAuditLogs(db, logs)
    const expected = logs
      .map(({ eventId }) => eventId)
      .sort()
      .reverse()
    const seen: string[] = []
    let after: AuditCursor | null = null
    do {
      const page: Awaited<ReturnType<typeof readAudit>> = await readAudit(
        db,
        { tenantId },
        { limit: 5, after },
      )
      seen.push(...ids(page))
      after = page.next && parseAuditCursor(writeAuditCursor(page.next))
      // What comes in meanwhile is newer and disturbs nobody.
      if (seen.length === 5)
        await addAuditLogs(db, [log({ tenantId, eventId: uuidv7(Date.now()) })])
    } while (after !== null)
    expect(seen).toEqual(expected)
    const streamed: string[] = []
    for await (const rows of streamAudit(db, { tenantId, toMs: startMs + 10 }, { pageSize: 4 })) {
      streamed.push(...ids({ rows }))
    }
    expect(streamed).toEqual(expected)
  })

  test('a cursor of the audit that is none of ours is no cursor', () => {
    for (const text of ['', 'x', '1_', `1_${'-'.repeat(36)}`, `9999999999999999_${uuidv7(1)}`]) {
      expect(parseAuditCursor(text)).toBeNull()
    }
  })

  test("a session's places in the log are those of its first deliveries, in order", async () => {
    const { db } = database()
    const tenantId = tenant()
    const at = (topicOffset: number, source = 'stream-events') =>
      log({ tenantId, source, topicOffset, sessionId: 's9', seq: topicOffset })
    await addAuditLogs(db, [at(9), at(2), at(5, 'chat-events'), log({ tenantId, sessionId: 'x' })])
    const found = await findSessionOffsets(db, { tenantId, sessionId: 's9' })
    expect(found.map(({ topic, partition, offset }) => [topic, partition, offset])).toEqual([
      ['chat-events', 3, 5],
      ['stream-events', 3, 2],
      ['stream-events', 3, 9],
    ])
    expect(found[0]).toMatchObject({ eventType: 'STREAM_STARTED', seq: 5 })
    expect(await findSessionOffsets(db, { tenantId: tenant(), sessionId: 's9' })).toEqual([])
  })
}
