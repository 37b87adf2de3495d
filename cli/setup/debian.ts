import { run } from './run.ts'

interface Wanted {
  /** What is missing, for a reader. */
  what: string
  packages: string[]
  isThere(): boolean
  env: Record<string, string | undefined>
  say(line: string): void
}

/** Installs Debian packages where that is possible without asking. Throws the one line that would bring them. */
export async function ensurePackages(wanted: Wanted): Promise<void> {
  const { what, packages, isThere, env, say } = wanted
  if (isThere()) return
  const install = ['apt-get', 'install', '-y', '--no-install-recommends', ...packages]
  if (process.getuid?.() === 0 && Bun.which('apt-get') !== null) {
    say(`Installing ${packages.join(' ')}…`)
    const quiet = { ...env, DEBIAN_FRONTEND: 'noninteractive' }
    await run(['apt-get', 'update'], { env: quiet })
    await run(install, { env: quiet })
  }
  if (!isThere()) throw new Error(`${what} missing: "sudo ${install.join(' ')}" brings it`)
}
