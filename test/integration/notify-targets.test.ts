import { describe, expect, test } from 'bun:test'
import { notifyConsumer } from '#consumers/notify/handle.ts'
import { mailTarget } from '#consumers/notify/mail.ts'
import type { Target } from '#consumers/notify/target.ts'
import { slackTarget, webhookTarget } from '#consumers/notify/webhook.ts'
import { headerOf } from '#consumers/read-record.ts'
import { runConsumer } from '#consumers/run.ts'
import { sqliteLog } from '#eventlog/sqlite/sqlite-log.ts'
import { openStore } from '#eventlog/sqlite/store.ts'
import { dlqTopic, topics } from '#events/topics.ts'
import { quietLog } from '#runtime/log.ts'
import { TestClock } from '../contract/consumers-bench.ts'
import { recordFor, Teller } from '../contract/consumers-events.ts'
import { receiver } from '../support/receiver.ts'
import { smtpServer } from '../support/smtp-server.ts'
import { tempDir } from '../support/temp.ts'
import { atEnd } from '../support/tracker.ts'
import { until } from '../support/until.ts'

const group = 'notification-consumer'

function openLog() {
  const store = openStore({ dataDir: tempDir() })
  const eventLog = sqliteLog(store)
  atEnd(async () => {
    await eventLog[Symbol.asyncDispose]()
    store[Symbol.dispose]()
  })
  return eventLog
}

type EventLog = ReturnType<typeof openLog>

function start(eventLog: EventLog, targets: Target[]) {
  const stopping = new AbortController()
  const clock = new TestClock()
  const consumer = runConsumer(notifyConsumer(targets), {
    ...{ eventLog, logger: quietLog, signal: stopping.signal, clock, tellEveryMs: 10 },
  })
  const stop = async () => {
    stopping.abort()
    await consumer.finished
  }
  atEnd(stop)
  return { ...consumer, stop }
}

const settled = (eventLog: EventLog) =>
  until(async () => (await eventLog.committed(group)).length === 16, {
    what: 'the group has begun',
  })

/** The failed answers of a session, as records and as events. */
function failures(sessionId: string, count = 1) {
  const teller = new Teller(sessionId)
  for (let at = 0; at < count; at += 1) teller.chat({ outcome: 'failed' })
  const events = teller.events.filter(({ eventType }) => eventType === 'STREAM_ERROR')
  return { records: teller.records(), events }
}

describe('notify', () => {
  test('posts each failed answer to the webhook, the event as the body and its id as the key', async () => {
    const hook = receiver()
    const eventLog = openLog()
    await eventLog.produce(failures('before').records)
    start(eventLog, [webhookTarget(hook.url)])
    await settled(eventLog)
    const { records, events } = failures('s', 2)
    const fine = new Teller('fine')
    fine.chat()
    await eventLog.produce([...fine.records(), ...records])
    await until(() => hook.calls.length === 2)
    expect(hook.calls.map(({ body }) => body)).toEqual(events)
    expect(hook.calls.map(({ key }) => key)).toEqual(events.map(({ eventId }) => eventId))
  })

  test('a new group begins at the end, and what comes while it is away is told when it is back', async () => {
    const hook = receiver()
    const eventLog = openLog()
    const first = start(eventLog, [webhookTarget(hook.url)])
    await settled(eventLog)
    await first.stop()
    await eventLog.produce(failures('meanwhile').records)
    start(eventLog, [webhookTarget(hook.url)])
    await until(() => hook.calls.length === 1)
  })

  test('waits for a target that is down, tells the others meanwhile, and none of them twice', async () => {
    const hook = receiver()
    const slack = receiver()
    hook.status = 503
    const eventLog = openLog()
    const consumer = start(eventLog, [webhookTarget(hook.url), slackTarget(slack.url)])
    await settled(eventLog)
    await eventLog.produce(failures('s', 3).records)
    await until(() => slack.calls.length === 3)
    const health = await until(async () => {
      const found = await consumer.health()
      return found.state === 'down' ? found : null
    })
    expect(health?.reason).toContain('webhook answered 503')
    hook.status = 200
    await until(() => hook.calls.length === 3)
    await until(async () => (await consumer.health()).state === 'up')
    expect(slack.calls).toHaveLength(3)
    expect(slack.calls[0]?.body).toEqual({ text: 'Session s failed: connection (cut off)' })
  })

  test('waits for a target that nobody serves', async () => {
    const hook = receiver()
    const eventLog = openLog()
    const consumer = start(eventLog, [webhookTarget('http://127.0.0.1:9/')])
    await settled(eventLog)
    await eventLog.produce(failures('s').records)
    await until(async () => (await consumer.health()).state === 'down')
    expect(await eventLog.kept(dlqTopic(topics.stream, group))).toBeNull()
    expect(hook.calls).toEqual([])
  })

  test('parks what the webhook refuses for good, once, and goes on', async () => {
    const hook = receiver()
    const slack = receiver()
    hook.status = 410
    const eventLog = openLog()
    start(eventLog, [webhookTarget(hook.url), slackTarget(slack.url)])
    await settled(eventLog)
    const { records, events } = failures('s')
    await eventLog.produce(records)
    const topic = dlqTopic(topics.stream, group)
    const parked = await until(async () => {
      const kept = (await eventLog.kept(topic)) ?? []
      const range = kept.find(({ from, to }) => to > from)
      if (range === undefined) return null
      for await (const page of eventLog.read(range, new AbortController().signal)) return page
    })
    expect(parked).toHaveLength(1)
    expect(parked?.map((record) => headerOf(record, 'ce_id'))).toEqual([events[0]?.eventId])
    expect(parked?.map((record) => headerOf(record, 'dlq-attempts'))).toEqual(['1'])
    expect(parked?.map((record) => headerOf(record, 'dlq-error-type'))).toEqual(['handler'])
    hook.status = 200
    await eventLog.produce(failures('t').records)
    await until(() => hook.calls.length === 1 && slack.calls.length === 2)
  })

  test('what another group had put back is not told again', async () => {
    const hook = receiver()
    const eventLog = openLog()
    start(eventLog, [webhookTarget(hook.url)])
    await settled(eventLog)
    const back = failures('s').events.map((event) => {
      const record = recordFor(event)
      return {
        ...record,
        headers: [...record.headers, ['redrive', Buffer.from('other')] as [string, Uint8Array]],
      }
    })
    await eventLog.produce([...back, ...failures('t').records])
    await until(() => hook.calls.length === 1)
    expect(hook.calls[0]?.body).toMatchObject({ sessionId: 't' })
  })
})

describe('notify by mail', () => {
  const mailTo = (url: string) =>
    mailTarget({
      smtpUrl: url,
      from: 'Sluice <sluice@example.com>',
      to: ['ops@example.com', 'b@example.com'],
    })

  test('sends one mail an event to everybody, naming what failed', async () => {
    const smtp = smtpServer()
    const eventLog = openLog()
    start(eventLog, [mailTo(smtp.url)])
    await settled(eventLog)
    const { records, events } = failures('session-1')
    await eventLog.produce(records)
    await until(() => smtp.mails.length === 1)
    const [mail] = smtp.mails
    expect(mail?.to).toEqual(['ops@example.com', 'b@example.com'])
    expect(mail?.from).toBe('sluice@example.com')
    expect(mail?.text).toContain('Subject: Sluice: connection in session session-1')
    expect(mail?.text).toContain('cut off')
    expect(mail?.text).toContain(`<${events[0]?.eventId}@sluice>`)
  })

  test('waits while the server says that it may later, parks what it says that it never will', async () => {
    const smtp = smtpServer()
    smtp.answer = '451 later'
    const eventLog = openLog()
    const consumer = start(eventLog, [mailTo(smtp.url)])
    await settled(eventLog)
    await eventLog.produce(failures('s').records)
    await until(async () => (await consumer.health()).state === 'down')
    smtp.answer = '550 never'
    await until(async () => (await eventLog.kept(dlqTopic(topics.stream, group))) !== null)
    smtp.answer = '250 ok'
    await eventLog.produce(failures('t').records)
    await until(() => smtp.mails.length === 1)
  })
})
