import { Database, SQLiteError } from 'bun:sqlite'
import { accessSync, constants, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Another process has the folder. */
export class DataDirInUse extends Error {
  override name = 'DataDirInUse'
  readonly dataDir: string
  /** As the other wrote it; null when it could not be read. */
  readonly pid: number | null
  constructor(dataDir: string, pid: number | null, options?: ErrorOptions) {
    super(`DATA_DIR ${dataDir} is in use by process ${pid ?? '(unknown)'}`, options)
    this.dataDir = dataDir
    this.pid = pid
  }
}

/** The folder cannot be made, read or written. */
export class DataDirUnusable extends Error {
  override name = 'DataDirUnusable'
  constructor(dataDir: string, cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    super(`DATA_DIR ${dataDir} cannot be used: ${reason}`, { cause })
  }
}

// Roots: a lock must not go with the garbage because nobody but its owner's files knows of it.
const held = new Set<Database>()

/**
 * Makes the folder if need be and locks it for this process until disposed of. The lock is the kernel's, so it is free
 * again however the process ends. Throws `DataDirInUse` or `DataDirUnusable`.
 */
export function lockDataDir(dataDir: string): Disposable {
  const pidPath = join(dataDir, 'sluice.pid')
  const lock = openLock(dataDir)
  try {
    lock.run('PRAGMA busy_timeout=0')
    lock.run('BEGIN EXCLUSIVE')
    // A file of its own: to close any handle of a locked file would free the process's locks on it.
    writeFileSync(pidPath, `${process.pid}\n`)
  } catch (error) {
    lock.close()
    if (isBusy(error)) throw new DataDirInUse(dataDir, pidIn(pidPath), { cause: error })
    throw new DataDirUnusable(dataDir, error)
  }
  held.add(lock)
  return {
    [Symbol.dispose]() {
      held.delete(lock)
      rmSync(pidPath, { force: true })
      lock.close()
    },
  }
}

function openLock(dataDir: string): Database {
  try {
    mkdirSync(dataDir, { recursive: true })
    accessSync(dataDir, constants.R_OK | constants.W_OK | constants.X_OK)
    return new Database(join(dataDir, 'sluice.lock'), { create: true })
  } catch (error) {
    throw new DataDirUnusable(dataDir, error)
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof SQLiteError && (error.code ?? '').startsWith('SQLITE_BUSY')
}

function pidIn(path: string): number | null {
  try {
    const pid = Number.parseInt(readFileSync(path, 'utf8'), 10)
    return Number.isNaN(pid) ? null : pid
  } catch (error) {
    // The other has the lock and is about to write its pid.
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}
