import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ensureInstalled } from '#runtime/install.ts'
import { ensureKafkaClient } from './kafka-client.ts'

const usage = `Usage: bun run setup:kafka

Makes the Kafka client usable for the node of this machine: prebuilt where that can be had, else from its source.
Does nothing when it is usable. Exit code: 0 done, 1 failed, 2 usage.
`

const root = fileURLToPath(new URL('../..', import.meta.url))
const args = process.argv.slice(2)

async function setUp(): Promise<void> {
  await ensureInstalled(root)
  const say = (line: string) => void process.stderr.write(`${line}\n`)
  const cacheDir = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'sluice')
  const how = await ensureKafkaClient({ root, cacheDir, env: process.env, say })
  process.stdout.write(`The Kafka client is ready (${how}).\n`)
}

if (args.length === 0) {
  try {
    await setUp()
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  }
} else {
  const isHelp = args.length === 1 && ['--help', '-h'].includes(args[0] ?? '')
  ;(isHelp ? process.stdout : process.stderr).write(usage)
  process.exitCode = isHelp ? 0 : 2
}
