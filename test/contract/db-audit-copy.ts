import { expect, test } from 'bun:test'
import type { Database } from '#db/client.ts'
import { codesOf } from '#db/errors.ts'
import { type AuditLog, addAuditLogs } from '#db/queries/add-audit-logs.ts'
import { addOffsets } from '#db/queries/add-offsets.ts'
import { readAudit } from '#db/queries/read-audit.ts'
import { readOffsets } from '#db/queries/read-offsets.ts'
import { timeOfUuid, uuidv7 } from '#runtime/ids.ts'

/** A row of the audit of that tenant. */
export function auditLog(fields: Partial<AuditLog> & { tenantId: string }): AuditLog {
  const eventId = fields.eventId ?? uuidv7(Date.now())
  return {
    eventType: 'STREAM_STARTED',
    ...{ userId: 'ada', conversationId: 's1', messageId: null, sessionId: 's1', epoch: 1, seq: 1 },
    eventData: { eventId },
    ...{ source: 'stream-events', topicPartition: 3, topicOffset: 41 },
    ...fields,
    eventId,
    timestamp: new Date(timeOfUuid(eventId)).toISOString(),
  }
}

/** Rows that are thought to be new: the same ones as of any other, by a shorter way where there is one. */
export function auditCopySuite(database: () => Database): void {
  const tenant = () => `t-${crypto.randomUUID()}`
  const areNew = true
  const add = (logs: readonly AuditLog[]) =>
    database().transaction((tx) => addAuditLogs(tx, logs, { areNew }))
  const found = async (tenantId: string) =>
    (await readAudit(database().db, { tenantId }, { limit: 100 })).rows.map(
      ({ createdAt: _createdAt, ...row }) => row,
    )

  test('new rows of the audit are kept to the letter, in whatever order they come', async () => {
    const tenantId = tenant()
    const odd = ['', '\\N', '\\.', 'a\tb\nc\r\\d\\', '"\'', '💡 é \u2028', '{}', 'null']
    const logs = odd.map((text, at) =>
      auditLog({
        ...{ tenantId, eventType: `X${text}`, userId: text, sessionId: text, messageId: text },
        ...{
          conversationId: at % 2 === 0 ? null : text,
          epoch: at === 1 ? null : 1_700_000_000_000_001,
        },
        ...{ source: at === 2 ? 'dlq' : 'chat-events', topicPartition: at === 2 ? null : at },
        ...{ topicOffset: at === 2 ? null : 2 ** 40 + at, seq: at === 2 ? null : at },
        eventData: { [text]: [text, { deep: text }], at, half: 0.5, none: null },
      }),
    )
    expect(await add(logs.toReversed())).toBe(odd.length)
    expect(await found(tenantId)).toEqual(logs.toReversed())
    expect(await add([])).toBe(0)
  })

  test('of rows that are not new after all, each stays as it was first delivered', async () => {
    const tenantId = tenant()
    const [first, second, third] = [1, 2, 3].map((seq) => auditLog({ tenantId, seq }))
    if (first === undefined || second === undefined || third === undefined) throw new Error('none')
    expect(await add([first])).toBe(1)
    const group = tenant()
    const place = { topic: 't', partition: 0, offset: 7 }
    const added = await database().transaction(async (tx) => {
      const count = await addAuditLogs(tx, [{ ...first, topicOffset: 99 }, second], { areNew })
      // The transaction that moves the offset goes on.
      await addOffsets(tx, group, [place])
      return count + (await addAuditLogs(tx, [third], { areNew }))
    })
    expect(added).toBe(2)
    expect(await found(tenantId)).toEqual([third, second, first])
    expect(await readOffsets(database().db, group)).toEqual([place])
    expect(await add([first, second, third])).toBe(0)
    const twice = auditLog({ tenantId, seq: 4 })
    expect(await add([twice, twice])).toBe(1)
  })

  test('new rows go with their transaction, and one that cannot be kept takes it with it', async () => {
    const tenantId = tenant()
    const failure = new Error('on purpose')
    const failing = database().transaction(async (tx) => {
      expect(await addAuditLogs(tx, [auditLog({ tenantId })], { areNew })).toBe(1)
      throw failure
    })
    expect(await failing.catch((error) => error)).toBe(failure)
    const bad = add([auditLog({ tenantId }), auditLog({ tenantId, userId: 'a\u0000b' })])
    const said = await bad.catch((error) => error)
    expect(codesOf(said).some((code) => code.startsWith('22'))).toBe(true)
    expect(await found(tenantId)).toEqual([])
    expect(await add([auditLog({ tenantId })])).toBe(1)
  })
}
