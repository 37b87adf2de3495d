import { expect, test } from 'bun:test'
import { fileURLToPath } from 'node:url'
import { importsOf, violationsOf } from '../support/layers.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

test('every file imports only what its layer may', async () => {
  const files = [
    ...new Bun.Glob('{events,eventlog,runtime,db,gateway,consumers,client,cli}/**/*.ts').scanSync(
      root,
    ),
  ]
  expect(files.length).toBeGreaterThan(100)
  const violations: string[] = []
  for (const path of files)
    violations.push(...violationsOf(path, await Bun.file(root + path).text()))
  expect(violations).toEqual([])
})

test('planted violations are caught, relative paths too', () => {
  const planted: [path: string, source: string][] = [
    ['events/event.ts', "import { x } from '../gateway/app.ts'"],
    ['events/event.ts', "import { x } from '#runtime/log.ts'"],
    ['runtime/log.ts', "export { x } from '#events/event.ts'"],
    ['eventlog/sqlite/store.ts', "import { x } from '../../db/client.ts'"],
    ['db/client.ts', "import type { x } from '#eventlog/event-log.ts'"],
    ['consumers/audit/handle.ts', "import { x } from '../history/handle.ts'"],
    ['consumers/audit/handle.ts', "import { x } from '#consumers/history/handle.ts'"],
    ['consumers/run.ts', "const x = await import('#gateway/app.ts')"],
    ['gateway/app.ts', "import {\n  a,\n  b,\n} from '#consumers/run.ts'"],
    ['gateway/embedded/main.ts', "import { x } from '../../consumers/run.ts'"],
    ['client/client.ts', "import { x } from '../events/event.ts'"],
    ['gateway/app.ts', "import { Database } from 'bun:sqlite'"],
    ['consumers/audit/handle.ts', "import { eq } from 'drizzle-orm'"],
    ['gateway/chat/asks.ts', "import { Hono } from 'hono'"],
    ['eventlog/sqlite/store.ts', "import { KafkaJS } from '@confluentinc/kafka-javascript'"],
    ['gateway/app.ts', "import { uuidv7 } from '../runtime/ids.ts'"],
  ]
  for (const [path, source] of planted) {
    expect([path, violationsOf(path, source).length]).toEqual([path, 1])
  }
})

test('what is allowed is not refused', () => {
  const legal: [path: string, source: string][] = [
    ['consumers/audit/handle.ts', "import { x } from '../define.ts'"],
    ['consumers/audit/handle.ts', "import { x } from './gaps.ts'"],
    ['gateway/embedded/back-office.ts', "import { x } from '#consumers/run.ts'"],
    ['gateway/routes/chat.ts', "import { Hono } from 'hono'"],
    ['db/client.ts', "import { drizzle } from 'drizzle-orm/pglite'"],
    ['gateway/chat/asks.ts', "import type { x } from '../generations/generations.ts'"],
  ]
  for (const [path, source] of legal) expect(violationsOf(path, source)).toEqual([])
})

test('imports are found in every form', () => {
  const source =
    "import 'a'\nimport b from \"b\"\nexport * from 'c'\nimport {\n  d,\n} from 'd'\nconst e = await import('e')"
  expect(importsOf(source)).toEqual(['a', 'b', 'c', 'd', 'e'])
})
