import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Database } from '#db/client.ts'
import type { PartitionBy } from '#db/partitions.ts'
import { remoteDatabase } from '#db/remote.ts'
import type { Env } from '#runtime/env.ts'
import { randomToken } from '#runtime/ids.ts'
import type { Log, LogLevel } from '#runtime/log.ts'
import type { Who } from '../chat/asks.ts'
import { ContractError } from '../chat/errors.ts'
import type { Dependency } from '../health.ts'
import { secretHeader, whoHeader } from './back-office-messages.ts'
import { BackOfficeThread } from './back-office-thread.ts'

export interface BackOfficeOptions {
  dataDir: string
  nodeId: string
  log: Log
  logLevel?: LogLevel
  /** Of telemetry: the standard OTLP variables. */
  env?: Env
  partitionBy?: PartitionBy
  auditRetentionMs?: number
}

/** The thread that holds Postgres, the consumers and replay, so that none of them ever holds up a token. */
export interface BackOffice extends AsyncDisposable {
  /** The thread's Postgres: no transactions. An outage (`isOutage`) while the thread is not there. */
  database: Database
  /** Starts the thread: call it once the server listens, for a new Postgres takes seconds of both cores. */
  start(): void
  /** Hands a call under `/api/replay/` on to the thread, for somebody who may replay. Rejects with `ContractError`. */
  forwardReplay(request: Request, who: Who): Promise<Response>
  /** Of `/health`; Postgres is `database`'s to tell. */
  dependencies: Record<'consumers' | 'replay', () => Promise<Dependency>>
  /** Ends the thread when what it has in hand is done; resolves within 10 s. Idempotent, and what disposing does. */
  stop(): Promise<void>
}

// A socket's path has room for 107 bytes.
const pathMax = 100

export function createBackOffice(options: BackOfficeOptions): BackOffice {
  const { dataDir, nodeId, log, logLevel = 'info', env = {}, partitionBy = 'month' } = options
  const folder = socketFolder(dataDir)
  const socketPath = join(folder, 'replay')
  const secret = randomToken()
  const { auditRetentionMs } = options
  const thread = new BackOfficeThread({
    config: {
      ...{ dataDir, nodeId, logLevel, env, socketPath, secret, partitionBy },
      ...(auditRetentionMs !== undefined && { auditRetentionMs }),
    },
    log,
    lost: (reason) => database.lost(reason),
  })
  const database = remoteDatabase(thread)
  const end = async () => {
    await thread.stop()
    await database[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true, force: true })
  }
  let ended: Promise<void> | null = null
  const stop = () => {
    ended ??= end()
    return ended
  }
  return {
    database,
    start: () => thread.start(),
    forwardReplay: (request, who) => forward({ request, who, socketPath, secret }),
    dependencies: {
      consumers: () => Promise.resolve(thread.consumers()),
      replay: () => Promise.resolve(thread.life()),
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

/**
 * Only this user may enter it, so only this user may connect. Named after the data folder, which is this process's alone:
 * so a start clears away what a killed one left.
 */
function socketFolder(dataDir: string): string {
  const parent = Buffer.byteLength(tmpdir()) < pathMax - 40 ? tmpdir() : '/tmp'
  const name = new Bun.CryptoHasher('sha256').update(resolve(dataDir)).digest('hex').slice(0, 16)
  const folder = join(parent, `sluice-${name}`)
  try {
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { mode: 0o700 })
    return folder
  } catch {
    // Somebody else has taken the name.
    return mkdtempSync(join(parent, 'sluice-'))
  }
}

const passedOn = ['accept', 'last-event-id', 'traceparent']

async function forward(call: {
  request: Request
  who: Who
  socketPath: string
  secret: string
}): Promise<Response> {
  const { request, who, socketPath, secret } = call
  const { userId, tenantId, roles } = who
  const headers = new Headers({
    [secretHeader]: secret,
    [whoHeader]: Buffer.from(JSON.stringify({ userId, tenantId, roles })).toString('base64url'),
  })
  for (const name of passedOn) {
    const value = request.headers.get(name)
    if (value !== null) headers.set(name, value)
  }
  const { pathname, search } = new URL(request.url)
  try {
    return await fetch(`http://back-office${pathname}${search}`, {
      headers,
      unix: socketPath,
      signal: request.signal,
      // A paced replay may be silent for as long as the original was.
      timeout: false,
      decompress: false,
    } as BunFetchRequestInit)
  } catch (cause) {
    throw new ContractError('unavailable', 'Replay is out of reach at the moment.', {}, { cause })
  }
}
