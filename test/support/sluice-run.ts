import { fileURLToPath } from 'node:url'
import { opened } from './tracker.ts'

export interface SluiceRun {
  exitCode: number
  /** From the start of the process to its end. */
  ms: number
  stdout: string
  /** Without empty lines. */
  errors: string[]
}

const main = fileURLToPath(new URL('../../gateway/embedded/main.ts', import.meta.url))

/** The product with exactly this environment, when it is to end by itself. */
export async function runSluice(env: Record<string, string>): Promise<SluiceRun> {
  const fromMs = performance.now()
  const child = Bun.spawn([process.execPath, main], {
    env: { PATH: process.env['PATH'] ?? '', PORT: '0', ...env },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const closed = opened(`process ${child.pid}`)
  const tooLong = setTimeout(() => child.kill('SIGKILL'), 20_000)
  const [exitCode, stdout, stderr] = await Promise.all([
    child.exited,
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ])
  clearTimeout(tooLong)
  closed()
  const errors = stderr.split('\n').filter((line) => line !== '')
  return { exitCode, ms: performance.now() - fromMs, stdout, errors }
}
