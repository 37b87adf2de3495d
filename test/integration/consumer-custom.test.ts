import { describe, expect, test } from 'bun:test'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { sqliteLog } from '#eventlog/sqlite/sqlite-log.ts'
import { openStore } from '#eventlog/sqlite/store.ts'
import { topics } from '#events/topics.ts'
import { Teller } from '../contract/consumers-events.ts'
import { tempDir } from '../support/temp.ts'
import { atEnd, opened } from '../support/tracker.ts'
import { until } from '../support/until.ts'

const main = fileURLToPath(new URL('../../cli/consumer/main.ts', import.meta.url))
const define = fileURLToPath(new URL('../../consumers/define.ts', import.meta.url))

function started(args: string[], env: Record<string, string> = {}) {
  const child = Bun.spawn([process.execPath, main, ...args], {
    env: { PATH: process.env['PATH'], ...env },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const closed = opened(`process ${child.pid}`)
  let out = ''
  const reading = (async () => {
    const decoder = new TextDecoder()
    for await (const bytes of child.stdout as unknown as AsyncIterable<Uint8Array>) {
      out += decoder.decode(bytes, { stream: true })
    }
  })()
  atEnd(() => child.kill('SIGKILL'))
  const ended = (async () => {
    const err = await new Response(child.stderr).text()
    await reading
    const code = await child.exited
    closed()
    return { code, out, err }
  })()
  return { child, ended, out: () => out }
}

async function fileWith(source: string): Promise<string> {
  const path = join(tempDir(), 'mine.ts')
  await Bun.write(path, source)
  return path
}

describe('bun run consumer', () => {
  test('runs a consumer of one’s own beside an embedded Sluice, from where it is told', async () => {
    const dataDir = tempDir()
    using store = openStore({ dataDir })
    const log = sqliteLog(store)
    const path = await fileWith(`
      import { defineConsumer } from '${define}'
      export default defineConsumer({
        name: 'search', groupId: 'search-indexer', topics: ['chat-events'], eventTypes: ['CHAT_MESSAGE'],
        async handle(events) {
          for (const { event } of events) process.stdout.write('indexed ' + event.messageId + '\\n')
        },
      })`)
    const old = new Teller('old', { atMs: Date.now() - 3 * 86_400_000 })
    const { messageId: before } = old.chat()
    await log.produce(old.records())
    const one = new Teller('one')
    const { messageId } = one.chat()
    await log.produce(one.records())
    const run = started([path, '--from', '-1d'], { DATA_DIR: dataDir })
    await until(() => run.out().includes(`indexed ${messageId}`), { timeoutMs: 10_000 })
    await until(() => run.out().includes('"msg":"ready"'))
    const two = new Teller('two')
    const { messageId: second } = two.chat()
    await log.produce(two.records())
    await until(() => run.out().includes(`indexed ${second}`))
    expect(run.out()).not.toContain(before)
    expect(run.out()).toContain('"process":"consumer:search","group":"search-indexer"')
    run.child.kill('SIGTERM')
    expect((await run.ended).code).toBe(0)
    const committed = await log.committed('search-indexer')
    const kept = (await log.kept(topics.chat)) ?? []
    expect(committed.map(({ offset }) => offset)).toEqual(kept.map(({ to }) => to))
  })

  test.each([
    ['nothing', '', 'must have "export default defineConsumer({ … })"'],
    ['no object', 'export default 7', 'must have "export default defineConsumer({ … })"'],
    [
      'no handle',
      "export default { name: 'a', groupId: 'b', topics: ['c'] }",
      'handle must be a function',
    ],
    [
      'no place',
      "export default { name: 'a', groupId: 'b', topics: ['c'], handle() {}, from: 'x' }",
      'from must be',
    ],
    ['broken', 'throw new Error("oh")', 'cannot be loaded: oh'],
  ])('a file with %s is told what is wrong with it', async (_, source, said) => {
    const { code, err } = await started([await fileWith(source)]).ended
    expect(code).toBe(2)
    expect(err).toContain(said)
  })

  test('a consumer with once needs a database', async () => {
    const path = await fileWith(
      "export default { name: 'a', groupId: 'b', topics: ['stream-events'], once: true, handle() {} }",
    )
    const { code, err } = await started([path], { KAFKA_BROKERS: '127.0.0.1:9' }).ended
    expect([code, err]).toEqual([1, 'DATABASE_URL: must be set, for a has once: true\n'])
  })

  test('says how it is called', async () => {
    expect(await started(['--help']).ended).toMatchObject({ code: 0, err: '' })
    expect(await started([]).ended).toMatchObject({ code: 2, out: '' })
    expect((await started(['mine.ts', '--from', 'never']).ended).err).toStartWith('--from must be')
    expect((await started(['/nowhere/mine.ts']).ended).err).toStartWith('there is no file')
    expect((await started(['a.ts', '--rebuild']).ended).err).toStartWith(
      '--rebuild is not for consumer',
    )
  })
})
