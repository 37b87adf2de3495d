import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const marker = join('node_modules', '.sluice-installed')

/**
 * Installs the packages of `bun.lock` in `root` when they are missing or of another lock file; else costs a read of two
 * small files. Imports no package itself, for it runs before there is one. Throws when the installation fails.
 */
export async function ensureInstalled(root: string): Promise<void> {
  const markerPath = join(root, marker)
  if (existsSync(markerPath) && readFileSync(markerPath, 'utf8') === lockOf(root)) return
  process.stderr.write('Installing packages…\n')
  const install = Bun.spawn([process.execPath, 'install', '--frozen-lockfile'], {
    cwd: root,
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const [out, err, code] = await Promise.all([
    new Response(install.stdout).text(),
    new Response(install.stderr).text(),
    install.exited,
  ])
  if (code !== 0) {
    throw new Error(
      `the packages could not be installed (bun install ended with ${code}):\n${out}${err}`,
    )
  }
  markInstalled(root)
}

/** Says that what is in `root` is installed; whoever installed it in another way, as an image does, says so too. */
export function markInstalled(root: string): void {
  writeFileSync(join(root, marker), lockOf(root))
}

function lockOf(root: string): string {
  return new Bun.CryptoHasher('sha256')
    .update(readFileSync(join(root, 'bun.lock')))
    .update(readFileSync(join(root, 'package.json')))
    .digest('hex')
}
