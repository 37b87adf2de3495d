import { expect, test } from 'bun:test'
import { sql } from 'drizzle-orm'
import type { Database } from '#db/client.ts'
import { keepPartitions } from '#db/partitions.ts'
import { type AuditLog, addAuditLogs } from '#db/queries/add-audit-logs.ts'
import { readAudit } from '#db/queries/read-audit.ts'
import { saveMessages } from '#db/queries/save-messages.ts'
import { searchMessages } from '#db/queries/search-messages.ts'
import { uuidv7 } from '#runtime/ids.ts'

const dayMs = 86_400_000

/** The upkeep of partitions. Comes last in a file: it drops what earlier tests have written. */
export function partitionSuite(database: () => Database): void {
  const partitionOf = async (eventId: string) => {
    const rows = await database().db.execute<{ name: string }>(
      sql`select tableoid::regclass::text as name from audit_logs where event_id = ${eventId}`,
    )
    return rows[0]?.name
  }
  const log = (atMs: number, tenantId: string): AuditLog => ({
    ...{ eventId: uuidv7(atMs), timestamp: new Date(atMs).toISOString(), tenantId },
    ...{ eventType: 'X', userId: null, conversationId: null, messageId: null, sessionId: null },
    ...{ epoch: null, seq: null, eventData: {}, source: 's' },
    ...{ topicPartition: null, topicOffset: null },
  })

  test('partitions are made ahead, and rows that came before theirs was made move into it', async () => {
    const tenantId = crypto.randomUUID()
    const nowMs = Date.UTC(2031, 0, 31, 12)
    const may = log(Date.UTC(2031, 4, 2), tenantId)
    const april = log(Date.UTC(2031, 3, 30, 23, 59), tenantId)
    await addAuditLogs(database().db, [may, april])
    const owner = { sessionId: 's', tenantId, userId: 'ada' }
    await saveMessages(database().db, [
      {
        ...{
          ...owner,
          messageId: uuidv7(Date.UTC(2031, 1, 1)),
          conversationId: 's',
          createdAt: '',
        },
        ...{ role: 'user', content: 'stray word', outcome: 'completed', epoch: 1, seq: 1 },
      },
    ])
    const kept = await keepPartitions(database(), { nowMs })
    expect(kept).toEqual({
      created: ['audit_logs', 'messages'].flatMap((table) =>
        ['2030_12', '2031_01', '2031_02', '2031_03', '2031_04'].map((month) => `${table}_${month}`),
      ),
      dropped: [],
      stray: ['audit_logs'],
    })
    expect(await partitionOf(may.eventId)).toBe('audit_logs_default')
    expect(await partitionOf(april.eventId)).toBe('audit_logs_2031_04')
    const search = { text: 'stray', limit: 5 }
    expect(await searchMessages(database().db, owner, search)).toHaveLength(1)
    expect((await keepPartitions(database(), { nowMs: Date.UTC(2031, 1, 1) })).stray).toEqual([])
    expect(await partitionOf(may.eventId)).toBe('audit_logs_2031_05')
    // The same event again finds its row where it has been moved to.
    expect(await addAuditLogs(database().db, [may, april])).toBe(0)
    const { rows } = await readAudit(database().db, { tenantId }, { limit: 5 })
    expect(rows.map(({ eventId }) => eventId)).toEqual([may.eventId, april.eventId])
  })

  test('with days instead of months, days are made where no month is', async () => {
    const nowMs = Date.UTC(2031, 4, 30, 1)
    const { created } = await keepPartitions(database(), { nowMs, by: 'day' })
    expect(created).toEqual([
      'audit_logs_2031_06_01',
      'audit_logs_2031_06_02',
      'messages_2031_06_01',
      'messages_2031_06_02',
    ])
    const first = log(Date.UTC(2031, 5, 1), 't')
    const last = log(Date.UTC(2031, 5, 2) - 1, 't')
    await addAuditLogs(database().db, [first, last])
    expect(await partitionOf(first.eventId)).toBe('audit_logs_2031_06_01')
    expect(await partitionOf(last.eventId)).toBe('audit_logs_2031_06_01')
    const back = await keepPartitions(database(), { nowMs: Date.UTC(2031, 5, 1) })
    expect(back.created).toEqual(
      [7, 8, 9]
        .flatMap((month) => [`audit_logs_2031_0${month}`])
        .concat([7, 8, 9].map((month) => `messages_2031_0${month}`)),
    )
  })

  test('retention drops what ended before it, of the audit alone, and makes none of that again', async () => {
    const nowMs = Date.UTC(2031, 4, 15)
    const options = { nowMs, auditRetentionMs: 44 * dayMs }
    const { dropped } = await keepPartitions(database(), options)
    expect(dropped).toContain('audit_logs_2031_03')
    expect(dropped).not.toContain('audit_logs_2031_04')
    expect(dropped.every((name) => name.startsWith('audit_logs_'))).toBe(true)
    expect(await keepPartitions(database(), options)).toEqual({
      created: [],
      dropped: [],
      stray: [],
    })
  })
}
