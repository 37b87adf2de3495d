import { existsSync } from 'node:fs'
import { ensurePackages } from '#cli/setup/debian.ts'
import { isListening } from './free-port.ts'
import { postgresBin, postgresProcess } from './postgres-process.ts'

/** Something that the tests need and the run has got hold of. */
export interface Requirement {
  /** For the environment of the tests. */
  env: Record<string, string>
  release(): Promise<void>
}

const nothing: Requirement = { env: {}, release: () => Promise.resolve() }
const told = { env: process.env, say: (line: string) => void process.stderr.write(`${line}\n`) }

/** Chromium of the system; installed where that is possible without asking. */
export async function chromium(): Promise<Requirement> {
  const path = process.env['SLUICE_TEST_CHROMIUM'] ?? '/usr/bin/chromium'
  await ensurePackages({
    what: 'Chromium (or its path in SLUICE_TEST_CHROMIUM) is',
    packages: ['chromium'],
    isThere: () => existsSync(path),
    ...told,
  })
  return { ...nothing, env: { SLUICE_TEST_CHROMIUM: path } }
}

/** The program alone: tests start their own servers. */
export async function redis(): Promise<Requirement> {
  await ensurePackages({
    what: 'The Redis that tests start is',
    packages: ['redis-server'],
    isThere: () => Bun.which('redis-server') !== null,
    ...told,
  })
  return nothing
}

/** The programs, which tests start servers of; and the server that is named or runs on the usual port, else one of our own. */
export async function postgres(): Promise<Requirement> {
  await ensurePackages({
    what: 'The PostgreSQL that tests start is',
    packages: ['postgresql'],
    isThere: () => postgresBin() !== null,
    ...told,
  })
  const named = process.env['SLUICE_TEST_POSTGRES']
  if (named !== undefined) return { ...nothing, env: { SLUICE_TEST_POSTGRES: named } }
  if (await isListening(5432)) return nothing
  const server = await postgresProcess(postgresBin() ?? '')
  await server.start()
  return { env: { SLUICE_TEST_POSTGRES: server.url }, release: server.release }
}
