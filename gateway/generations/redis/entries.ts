import type { ChunkKind, LogStep } from '../generations.ts'

const kinds: readonly ChunkKind[] = ['text', 'reasoning']
const kindsMax = 8
/** Most chunks are of the first parts: their codes are not made anew each time. */
const codes = Array.from({ length: 64 }, (_, code) => String(code))

/** Kind and part of a chunk as one small number: the name of the field in its entry. */
export function codeOf(kind: ChunkKind, part: number): string {
  const code = part * kindsMax + kinds.indexOf(kind)
  return codes[code] ?? String(code)
}

export function chunkOf(
  place: { seq: number; messageId: string; chunkIndex: number },
  code: number,
  text: string,
): LogStep {
  const { seq, messageId, chunkIndex } = place
  const kind = kinds[code % kindsMax] ?? 'text'
  return {
    type: 'chunk',
    seq,
    messageId,
    chunkIndex,
    kind,
    part: Math.floor(code / kindsMax),
    text,
  }
}

/** The answer that chunks belong to: chunk `i` stands at `startedSeq + 1 + i`. */
interface Owner {
  messageId: string
  startedSeq: number
}

/**
 * Steps from entries of the log, one after the other from `seq` on: by turns the field (`s` started, `d` done, `e` erased,
 * else a chunk's code) and the value. `owner` is that of the first chunks, when no step in here tells.
 */
export function stepsOfEntries(
  entries: readonly string[],
  seq: number,
  owner: Owner | null,
): LogStep[] {
  const steps: LogStep[] = []
  let current = owner ?? ownerBehind(entries, seq)
  for (let at = 0; at < entries.length; at += 2) {
    const field = entries[at] ?? ''
    const value = entries[at + 1] ?? ''
    const place = seq + at / 2
    if (field === 'e') {
      steps.push({ type: 'erased', seq: place, frame: value })
      current = null
    } else if (field === 's' || field === 'd') {
      const [messageId, rest] = cut(value)
      const frame = field === 's' ? rest : cut(rest)[1]
      steps.push({ type: field === 's' ? 'started' : 'done', seq: place, messageId, frame })
      current = field === 's' ? { messageId, startedSeq: place } : null
    } else {
      if (current === null) throw new Error('a chunk in the log that belongs to no answer')
      const { messageId, startedSeq } = current
      const chunkIndex = place - startedSeq - 1
      steps.push(chunkOf({ seq: place, messageId, chunkIndex }, Number(field), value))
    }
  }
  return steps
}

function ownerBehind(entries: readonly string[], seq: number): Owner | null {
  for (let at = 0; at < entries.length; at += 2) {
    if (entries[at] !== 'd') continue
    const [messageId, rest] = cut(entries[at + 1] ?? '')
    const chunks = Number(cut(rest)[0])
    return { messageId, startedSeq: seq + at / 2 - chunks - 1 }
  }
  return null
}

function cut(value: string): [string, string] {
  const space = value.indexOf(' ')
  return [value.slice(0, space), value.slice(space + 1)]
}
