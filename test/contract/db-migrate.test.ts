import { expect, test } from 'bun:test'
import { join } from 'node:path'
import { testDatabase } from '#test/support/postgres.ts'

const program = join(import.meta.dir, '../../db/migrate.ts')

/** The command as an operator runs it. */
async function migrate(args: string[], env: Record<string, string> = {}) {
  const { PATH = '' } = process.env
  const child = Bun.spawn([process.execPath, program, ...args], {
    env: { PATH, ...env },
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ])
  return { code: await child.exited, out, err }
}

test('it makes the tables and says what it did, and has nothing to do the second time', async () => {
  await using database = await testDatabase()
  const env = { DATABASE_URL: database.url, AUDIT_RETENTION: '90d' }
  const first = await migrate([], env)
  expect(first).toMatchObject({ code: 0, err: '' })
  expect(first.out).toContain('10 made, 0 dropped')
  const second = await migrate(['--json'], env)
  expect({ ...second, out: JSON.parse(second.out) }).toEqual({
    code: 0,
    err: '',
    out: { created: [], dropped: [], stray: [] },
  })
}, 30_000)

test('help is no failure, a wrong flag is usage, all else is a failure that is named', async () => {
  expect(await migrate(['--help'])).toMatchObject({
    code: 0,
    out: expect.stringContaining('Usage'),
  })
  expect(await migrate(['--nope'])).toMatchObject({
    code: 2,
    err: expect.stringContaining('--nope'),
  })
  const unset = await migrate([])
  expect(unset).toMatchObject({ code: 1, out: '', err: 'DATABASE_URL: must be set\n' })
  const nobody = await migrate([], { DATABASE_URL: 'postgres://postgres@127.0.0.1:1/x' })
  expect(nobody).toMatchObject({ code: 1, err: expect.stringContaining('ECONNREFUSED') })
}, 30_000)
