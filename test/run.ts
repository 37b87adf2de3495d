import { mkdtempSync, rmSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ensureKafkaClient } from '../cli/setup/kafka-client.ts'
import { ensureInstalled } from '../runtime/install.ts'
import { isWanted, onBothParts } from './support/both-parts.ts'
import { chromium, postgres, type Requirement, redis } from './support/requirements.ts'

// The whole of `bun run test [patterns]`: gets what the tests need, runs them, says how many passed and failed.
const root = fileURLToPath(new URL('..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'sluice-run-'))
const got: Requirement[] = []
let child: Bun.Subprocess | null = null

async function runTests(): Promise<{ passed: number; failed: number }> {
  await ensureInstalled(root)
  const say = (line: string) => void process.stderr.write(`${line}\n`)
  const env = process.env
  const cacheDir = join(env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'sluice')
  got.push(await postgres())
  got.push(await chromium())
  got.push(await redis())
  await ensureKafkaClient({ root, cacheDir, env, say })
  // Packages of ours are in it: not before they are installed.
  const { kafka } = await import('./support/kafka-broker.ts')
  got.push(await kafka(say))
  const patterns = process.argv.slice(2)
  const all = await pass('all', patterns, {})
  const real = onBothParts(root).filter((file) => isWanted(file, patterns))
  if (real.length === 0) return all
  say('\nOn the real parts, with two nodes:')
  const { runRedis } = await import('./support/run-redis.ts')
  const { env: redisEnv, release } = await runRedis()
  got.push({ env: {}, release })
  const again = await pass('real', real, redisEnv)
  return { passed: all.passed + again.passed, failed: all.failed + again.failed }
}

/** One run of `bun test`. */
async function pass(name: string, files: readonly string[], more: Record<string, string>) {
  const report = join(folder, `${name}.xml`)
  // Whatever a test leaves running ends with the runner.
  child = Bun.spawn(
    [
      ...[process.execPath, '--no-orphans', 'test', '--parallel=3', '--timeout=30000'],
      ...['--reporter=junit', `--reporter-outfile=${report}`],
      ...files,
    ],
    {
      cwd: root,
      stdin: 'ignore',
      stdout: 'inherit',
      stderr: 'inherit',
      env: { ...process.env, ...Object.assign({}, ...got.map(({ env }) => env)), ...more },
    },
  )
  const code = await child.exited
  const counted = await countOf(report)
  // A file that can't be loaded, or a run that was cut short, may not be in the report.
  if (code !== 0 && counted.failed === 0) return { ...counted, failed: 1 }
  return counted
}

async function countOf(report: string): Promise<{ passed: number; failed: number }> {
  const file = Bun.file(report)
  const head = (await file.exists()) ? /<testsuites [^>]*>/.exec(await file.text())?.[0] : undefined
  if (head === undefined) return { passed: 0, failed: 1 }
  const number = (name: string) => Number(new RegExp(` ${name}="(\\d+)"`).exec(head)?.[1] ?? 0)
  // A skipped test has shown nothing: it counts as failed.
  const failed = number('failures') + number('errors') + number('skipped')
  return { passed: number('tests') - failed, failed }
}

async function end(): Promise<void> {
  for (const requirement of got.splice(0).reverse()) await requirement.release()
  rmSync(folder, { recursive: true, force: true })
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    child?.kill()
    void end().finally(() => process.exit(1))
  })
}

let result = { passed: 0, failed: 1 }
try {
  result = await runTests()
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
} finally {
  await end()
}
process.stdout.write(`${result.passed} passed, ${result.failed} failed\n`)
process.exitCode = result.failed === 0 && result.passed > 0 ? 0 : 1
