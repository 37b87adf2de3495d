import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { atEnd } from './tracker.ts'

/** A folder that is gone after the test, or after the file when made outside a test. */
export function tempDir(name = 'sluice-test'): string {
  const path = mkdtempSync(join(tmpdir(), `${name}-`))
  atEnd(() => rmSync(path, { recursive: true, force: true }))
  return path
}
