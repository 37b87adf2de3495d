import type { Projection } from '#db/queries/rebuild.ts'
import type { ConsumerDefinition } from './define.ts'
import { type RebuildParts, rebuild } from './rebuild.ts'

export interface RebuildCommand extends Omit<RebuildParts, 'progress' | 'now'> {
  projection: Projection
  isJson: boolean
}

/** Long statements at its end are no sign of a server that is away. */
export const rebuildStatementMs = 6 * 3_600_000

const drawEveryMs = 100
const barWidth = 30

/** Rebuilds, showing how far it is on a terminal, and says what was done: with `isJson` as one JSON value alone. */
export async function rebuildCommand(
  definition: ConsumerDefinition,
  { projection, isJson, ...parts }: RebuildCommand,
): Promise<void> {
  const isWatched = process.stderr.isTTY === true
  let drawnMs = 0
  const draw = (text: string) => isWatched && process.stderr.write(`\r\x1b[2K${text}`)
  const done = await rebuild(definition, projection, {
    ...parts,
    now: Date.now,
    progress(read, all) {
      if (performance.now() - drawnMs < drawEveryMs) return
      drawnMs = performance.now()
      draw(barOf(read, all))
    },
  })
  draw('')
  const { group, records, events, skipped, durationMs } = done
  if (isJson) {
    process.stdout.write(`${JSON.stringify(done)}\n`)
    return
  }
  const left = skipped === 0 ? '' : `, ${skipped} skipped`
  const seconds = (durationMs / 1_000).toFixed(1)
  process.stdout.write(
    `${group}: ${projection} made anew from ${events} events of ${records} records${left} in ${seconds} s\n`,
  )
}

function barOf(read: number, all: number): string {
  const part = all === 0 ? 1 : Math.min(1, read / all)
  const full = Math.round(part * barWidth)
  const bar = '█'.repeat(full) + '░'.repeat(barWidth - full)
  return `${bar} ${Math.floor(part * 100)} %  ${read} of ${all} records`
}
