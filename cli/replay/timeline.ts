import { plain } from '../usage.ts'

type Fields = Record<string, unknown>

const dim = (text: string) => `\x1b[2m${text}\x1b[22m`
const red = (text: string) => `\x1b[31m${text}\x1b[39m`
const green = (text: string) => `\x1b[32m${text}\x1b[39m`

/** Draws one event after the other: when, how long after the one before, what, and whether all was well. */
export class Timeline {
  #lastMs: number | null = null

  line(event: Fields): string {
    const atMs = Date.parse(text(event['timestamp']))
    const gapMs = this.#lastMs === null || Number.isNaN(atMs) ? 0 : Math.max(0, atMs - this.#lastMs)
    if (!Number.isNaN(atMs)) this.#lastMs = atMs
    const type = plain(text(event['eventType'])) || 'raw'
    const problem = problemOf(event)
    const mark = problem === null ? green('●') : red('●')
    const said = problem === null ? 'OK' : red(problem)
    const time = Number.isNaN(atMs) ? ' '.repeat(24) : new Date(atMs).toISOString()
    return `${lull(gapMs)}${time}  ${mark} ${type.padEnd(18)} ${said}${detailOf(event)}\n`
  }

  end(
    { count, complete }: { count: number; complete: boolean },
    missing: readonly unknown[],
  ): string {
    const events = count === 1 ? '1 event' : `${count} events`
    if (complete) return `${events}, complete\n`
    return `${events}, ${red('incomplete')}: missing ${plain(JSON.stringify(missing))}\n`
  }
}

/** A pause that somebody would notice is drawn, the longer the taller, up to five rows. */
function lull(gapMs: number): string {
  if (gapMs < 1_000) return ''
  const rows = Math.min(5, 1 + Math.floor(Math.log10(gapMs / 1_000)))
  const indent = ' '.repeat(26)
  const bars = `${indent}${dim('│')}\n`.repeat(rows - 1)
  return `${bars}${indent}${dim(`│ ${spanOf(gapMs)}`)}\n`
}

function spanOf(ms: number): string {
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`
  return ms < 3_600_000 ? `${(ms / 60_000).toFixed(1)} min` : `${(ms / 3_600_000).toFixed(1)} h`
}

function problemOf(event: Fields): string | null {
  if (event['eventType'] === 'STREAM_ERROR') {
    return plain(`${text(event['errorType'])}: ${text(event['error'])}`)
  }
  if (event['eventType'] === 'RECOVERY_ATTEMPT' && event['success'] === false) {
    return plain(`not resumed: ${text(event['reason'])}`)
  }
  return '_raw' in event ? 'not an event' : null
}

function detailOf(event: Fields): string {
  const { epoch, seq, fromSeq = seq } = event
  const step = epoch === undefined ? '' : `  ${fromSeq === seq ? seq : `${fromSeq}-${seq}`}`
  const content = text(event['content'] ?? event['text'])
  const shown = content.length > 60 ? `${content.slice(0, 60)}…` : content
  const role = text(event['role'])
  return dim(
    `${plain(step)}${role === '' ? '' : `  ${plain(role)}`}${shown === '' ? '' : `  ${plain(shown)}`}`,
  )
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
