import { fileURLToPath } from 'node:url'
import { ensureInstalled } from '#runtime/install.ts'

// `bun start` on a machine that has nothing yet: no package may be imported before this line is through.
try {
  await ensureInstalled(fileURLToPath(new URL('../..', import.meta.url)))
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exit(1)
}
await import('./main.ts')
