import { describe, expect, test } from 'bun:test'
import { shardOf } from '#events/murmur2.ts'
import { redisOutbox } from '#gateway/generations/redis/redis-outbox.ts'
import { refusedEvents } from '#gateway/generations/redis/refused.ts'
import type { Outbox } from '#gateway/relay/outbox.ts'
import { startRedis } from '../support/redis.ts'
import { startCluster } from '../support/redis-cluster.ts'
import { FilledOutbox } from '../support/relay.ts'
import { atEnd } from '../support/tracker.ts'

async function single() {
  const { url } = await startRedis()
  return { url, filled: await FilledOutbox.open(url) }
}

async function ofCluster() {
  const { nodes } = await startCluster()
  const urls = nodes.map(({ url }) => url)
  return { url: urls[0] ?? '', filled: await FilledOutbox.open(...urls) }
}

function open(url: string): Outbox {
  const outbox = redisOutbox({ url })
  atEnd(() => outbox[Symbol.dispose]())
  return outbox
}

const shard = shardOf('session-0')
const all = Array.from({ length: 64 }, (_, at) => at)
const text = 'ein Wörtchen, 你好'

for (const [where, start] of Object.entries({ single, cluster: ofCluster })) {
  describe(`the outbox of a ${where}`, () => {
    test('is read in order, behind any entry, and an entry is the record of its event', async () => {
      const { url, filled } = await start()
      const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
      await filled.tell({ sessions: 1, events: 30, text, traceparent })
      const outbox = open(url)
      const first = await outbox.read({ shard, after: null }, 10)
      const rest = await outbox.read({ shard, after: first.at(-1)?.id ?? null }, 100)
      const entries = [...first, ...rest]
      const jsonOf = (value: Uint8Array) => JSON.parse(Buffer.from(value).toString())
      expect(entries.map(({ record }) => jsonOf(record.value).eventId)).toEqual(
        filled.told.map(({ eventId }) => eventId),
      )
      expect(jsonOf(entries[0]?.record.value ?? new Uint8Array()).text).toBe(text)
      const record = entries[9]?.record
      const headers = Object.fromEntries(
        (record?.headers ?? []).map(([name, value]) => [name, Buffer.from(value).toString()]),
      )
      expect(record?.topic).toBe('chat-events')
      expect(Buffer.from(record?.key ?? []).toString()).toBe('session-0')
      expect(headers).toMatchObject({
        ce_specversion: '1.0',
        ce_id: filled.told[9]?.eventId ?? '',
        ce_type: 'CHAT_MESSAGE',
        ce_source: '/gateway/node-1',
        ce_subject: 'session-0',
        'content-type': 'application/json',
        traceparent,
      })
      const places = all.map((each) => ({ shard: each, after: null }))
      const waiting = await outbox.waiting(places)
      expect(waiting.flatMap((bytes, at) => (bytes > 0 ? [at] : []))).toEqual([shard])
      const last = { shard, after: entries.at(-1)?.id ?? null }
      expect(await outbox.waiting([last])).toEqual([0])
    })

    test('counts what is taken out once, however many relays take it out', async () => {
      const { url, filled } = await start()
      await filled.tell({ sessions: 200, events: 3_000, text })
      const outboxes = [open(url), open(url)]
      const taken = new Map(
        await Promise.all(
          all.map(
            async (each) =>
              [each, (await outboxes[0]?.read({ shard: each, after: null }, 5_000)) ?? []] as const,
          ),
        ),
      )
      const half = new Map(
        [...taken].map(([each, entries]) => [each, entries.slice(entries.length / 2)] as const),
      )
      await Promise.all([outboxes[0]?.remove(taken), outboxes[1]?.remove(half)])
      await outboxes[1]?.remove(taken)
      expect(await filled.sizes()).toEqual({ n: 0, b: 0, entries: 0, refused: 0, least: 0 })
    })

    test('has counted right once it is empty, whatever others took out of the middle', async () => {
      const { url, filled } = await start()
      for (const words of ['a', text.repeat(20), 'bc', text]) {
        await filled.tell({ sessions: 1, events: 3, text: words })
      }
      const outbox = open(url)
      const entries = await outbox.read({ shard, after: null }, 100)
      await outbox.remove(new Map([[shard, entries.slice(3, 6)]]))
      await outbox.remove(new Map([[shard, entries.slice(0, 11)]]))
      expect(await filled.sizes()).toMatchObject({ n: 1, entries: 1 })
      await outbox.remove(new Map([[shard, entries.slice(11)]]))
      expect(await filled.sizes()).toMatchObject({ n: 0, b: 0, entries: 0 })
    })

    test('puts what is refused aside once, whole and with its reason', async () => {
      const { url, filled } = await start()
      await filled.tell({ sessions: 1, events: 3, text })
      const outbox = open(url)
      const [, second] = await outbox.read({ shard, after: null }, 10)
      const id = second?.id ?? ''
      const both = await Promise.all([1, 2].map(() => outbox.refuse(shard, id, 'too large')))
      expect(both.toSorted()).toEqual([false, true])
      expect(await filled.sizes()).toMatchObject({ n: 2, entries: 2, refused: 1 })
      expect(await outbox.backlog([shard])).toMatchObject([{ events: 2, refused: 1 }])
      const refused = await refusedEvents({ url })
      expect(refused).toMatchObject([{ topic: 'stream-events', reason: 'too large' }])
      expect(Math.abs((refused[0]?.atMs ?? 0) - Date.now())).toBeLessThan(60_000)
      await outbox.remove(new Map([[shard, await outbox.read({ shard, after: null }, 10)]]))
      expect(await filled.sizes()).toMatchObject({ n: 0, b: 0, least: 0 })
    })

    test('has one holder of a shard at a time, by its token', async () => {
      const { url, filled } = await start()
      const outbox = open(url)
      const [a, b] = [
        { token: 'a', leaseMs: 60_000 },
        { token: 'b', leaseMs: 60_000 },
      ]
      expect([await outbox.announce(a), await outbox.announce(b)]).toEqual([1, 2])
      expect((await outbox.take(all, a, 40)).length).toBe(40)
      const others = await outbox.take(all, b, 64)
      expect(others.length).toBe(24)
      const holders = await filled.holders()
      expect(others.every((each) => holders[each] === 'b')).toBe(true)
      const states = await outbox.renew(all, a)
      expect([...states.values()].filter((state) => state === 'lost').length).toBe(24)
      // Not by who has it not.
      await outbox.release(all, b)
      expect((await filled.holders()).filter((holder) => holder === 'a').length).toBe(40)
      const [free = -1] = others
      expect(await outbox.renew([free], a)).toEqual(new Map([[free, 'anew']]))
      expect(await outbox.renew([free], a)).toEqual(new Map([[free, 'kept']]))
      await outbox.leave(b)
      expect(await outbox.announce(a)).toBe(1)
    })

    test('forgets a holder and its lease that are over', async () => {
      const { url } = await start()
      const outbox = open(url)
      const short = { token: 'short', leaseMs: 100 }
      await outbox.announce(short)
      expect(await outbox.take([shard], short, 1)).toEqual([shard])
      await Bun.sleep(300)
      const long = { token: 'long', leaseMs: 60_000 }
      expect(await outbox.announce(long)).toBe(1)
      expect(await outbox.take([shard], long, 1)).toEqual([shard])
      expect(await outbox.renew([shard], short)).toEqual(new Map([[shard, 'lost']]))
    })
  })
}
