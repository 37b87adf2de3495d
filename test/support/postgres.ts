import { randomBytes } from 'node:crypto'
import postgres from 'postgres'
import { opened } from './tracker.ts'

export interface TestDatabase extends AsyncDisposable {
  url: string
}

const defaultUrl = 'postgres://postgres@127.0.0.1:5432/postgres'

/** An empty database of one's own on the test server; disposing drops it, whoever is still connected. */
export async function testDatabase(): Promise<TestDatabase> {
  const serverUrl = process.env['SLUICE_TEST_POSTGRES'] ?? defaultUrl
  const name = `sluice_test_${process.pid}_${randomBytes(4).toString('hex')}`
  // template0: nobody can be connected to it, so that files can make databases at the same time.
  await onServer(serverUrl, `create database ${name} template template0`)
  const closed = opened(`database ${name}`)
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  return {
    url: url.href,
    async [Symbol.asyncDispose]() {
      await onServer(serverUrl, `drop database if exists ${name} with (force)`)
      closed()
    },
  }
}

async function onServer(url: string, statement: string): Promise<void> {
  const sql = postgres(url, { max: 1, connect_timeout: 5, onnotice: () => undefined })
  try {
    await sql.unsafe(statement)
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && String(cause.code).startsWith('E')) {
      throw new Error(missing(url), { cause })
    }
    throw cause
  } finally {
    await sql.end({ timeout: 1 })
  }
}

function missing(url: string): string {
  return (
    `no PostgreSQL at ${new URL(url).host}: run the tests by "npx -y bun@1.4.5 run test", which starts one; ` +
    'or "apt-get install -y postgresql"; or name one in SLUICE_TEST_POSTGRES'
  )
}
