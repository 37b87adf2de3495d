import { expect, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ConsumerEnv } from '#consumers/config.ts'
import { NotifyEnv } from '#consumers/notify/config.ts'
import { KafkaEnv } from '#eventlog/kafka/config.ts'
import { GatewayEnv } from '#gateway/config.ts'
import { TelemetryEnv } from '#runtime/telemetry.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const pages = ['*.md', 'docs/**/*.md'].flatMap((of) =>
  [...new Bun.Glob(of).scanSync(root)].toSorted(),
)
const textOf = (page: string) => Bun.file(join(root, page)).text()
const { scripts } = (await Bun.file(join(root, 'package.json')).json()) as {
  scripts: Record<string, string>
}

test('what must never break is ten rules, each with a test that is there', async () => {
  const text = await textOf('docs/invariants.md')
  const rules = text.split(/^\d+\. /m).slice(1)
  expect(rules.length).toBeLessThanOrEqual(10)
  for (const rule of rules) {
    const tests = [...rule.matchAll(/`(test\/[^`]+)`/g)].map(([, path = '']) => path)
    expect(tests.length).toBeGreaterThan(0)
    for (const path of tests) expect([path, existsSync(join(root, path))]).toEqual([path, true])
  }
})

test.each(pages)('%s leads nowhere that is not there', async (page) => {
  const links = [...(await textOf(page)).matchAll(/\]\((?!https?:)([^)#]+)(#[^)]*)?\)/g)]
  for (const [, path = ''] of links) {
    expect([path, existsSync(join(root, dirname(page), path))]).toEqual([path, true])
  }
})

test.each(pages)('%s names only commands that there are', async (page) => {
  const named = [...(await textOf(page)).matchAll(/bun(?:@[\d.]+)? run ([a-z][a-z:]*)/g)]
  const missing = named
    .map(([, name = '']) => name.replace(/:$/, ''))
    .filter((name) => !Object.hasOwn(scripts, name) && name !== 'x' && name !== 'name')
  expect([...new Set(missing)]).toEqual([])
})

test('the operator reads of no variable that is not ours', async () => {
  const known = new Set(
    [GatewayEnv, KafkaEnv, ConsumerEnv, NotifyEnv, TelemetryEnv].flatMap((schema) =>
      Object.keys(schema.shape),
    ),
  )
  const text = await textOf('docs/operations.md')
  const named = [...text.matchAll(/`((?:[A-Z]+_)+[A-Z]+)(?:=[^`]*)?`/g)].map(
    ([, name = '']) => name,
  )
  expect(named.length).toBeGreaterThan(30)
  const elsewhere = new Set(['POSTGRES_PASSWORD'])
  const isEvent = (name: string) => name === 'HISTORY_ERASED'
  expect(
    named.filter((name) => !known.has(name) && !elsewhere.has(name) && !isEvent(name)),
  ).toEqual([])
})
