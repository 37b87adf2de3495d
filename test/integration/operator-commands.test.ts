import { describe, expect, test } from 'bun:test'
import { fileURLToPath } from 'node:url'

// As an operator types them: by the scripts of package.json.
const root = fileURLToPath(new URL('../..', import.meta.url))
const consumers = ['audit', 'analytics', 'history', 'notify', 'replay'].map(
  (name) => `consumer:${name}`,
)
const commands = ['setup:kafka', 'topics', 'db:migrate', 'lag', 'dlq', 'replay']
const servers = {
  KAFKA_BROKERS: '127.0.0.1:1',
  REDIS_URL: 'redis://127.0.0.1:1',
  DATABASE_URL: 'postgres://127.0.0.1:1/none',
}

async function run(args: string[], env: Record<string, string> = {}) {
  const child = Bun.spawn([process.execPath, 'run', ...args], {
    cwd: root,
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '/tmp', ...env },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ])
  return { out, err, code }
}

describe('bun run', () => {
  test.each([...commands, 'relay', 'consumer', ...consumers])(
    '%s says how it is used, and refuses what it does not know with exit code 2',
    async (name) => {
      const help = await run([name, '--help'])
      expect(help).toMatchObject({ code: 0, out: expect.stringContaining(`bun run ${name}`) })
      expect((await run([name, '--no-such-option'], servers)).code).toBe(2)
    },
  )

  test.each(['gateway', 'relay', ...consumers])(
    '%s ends with 1 and names every variable that it lacks',
    async (name) => {
      const { code, err } = await run([name])
      expect(code).toBe(1)
      const needs = name === 'relay' ? ['KAFKA_BROKERS', 'REDIS_URL'] : Object.keys(servers)
      for (const variable of needs) expect(err).toContain(`${variable}: must be set`)
    },
  )

  test.each(['topics', 'db:migrate'])('%s needs its server alone', async (name) => {
    const { code, err } = await run([name])
    expect(code).toBe(1)
    expect(err).toContain(name === 'topics' ? 'KAFKA_BROKERS: must be set' : 'DATABASE_URL')
  })

  test('hands a consumer its arguments', async () => {
    const both = await run(['consumer:history', '--rebuild', '--from', '-7d'], servers)
    expect(both).toMatchObject({
      code: 2,
      err: expect.stringContaining('--rebuild takes no --from'),
    })
    const wrong = await run(['consumer:audit', '--from', 'yesterday'], servers)
    expect(wrong).toMatchObject({ code: 2, err: expect.stringContaining('--from must be') })
    expect(await run(['consumer:audit', '--rebuild'], servers)).toMatchObject({ code: 2 })
  })
})
