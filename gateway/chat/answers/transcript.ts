import type { ChunkKind, StoredMessage } from '../../generations/generations.ts'
import type { Chunk } from '../text.ts'

interface Part {
  kind: ChunkKind
  /** Index of its first chunk. */
  from: number
  text: string
  /** What is not in `text` yet. */
  newest: string[]
}

/**
 * Joined by so many: a text that grows by a token at a time is an object for each of them, all of which live, and are
 * looked at by the garbage collector, for as long as the answer does.
 */
const joinedMax = 32

/** All chunks of one answer, so that its end can be told and any of them sent again byte for byte. */
export class Transcript {
  readonly #parts: Part[] = []
  // Lengths instead of the chunks themselves: a long answer has a hundred thousand of them.
  readonly #lengths: number[] = []
  readonly #sizes: number[] = []

  /** The number of chunks. */
  get next(): number {
    return this.#lengths.length
  }

  add({ kind, part, text }: Pick<Chunk, 'kind' | 'part' | 'text'>): void {
    let own = this.#parts[part]
    if (own === undefined) {
      own = { kind, from: this.#lengths.length, text: '', newest: [] }
      this.#parts[part] = own
    }
    if (own.newest.push(text) === joinedMax) join(own)
    this.#lengths.push(text.length)
    const size = 31 - Math.clz32(text.length)
    while (this.#sizes.length <= size) this.#sizes.push(0)
    this.#sizes[size] = (this.#sizes[size] ?? 0) + 1
  }

  /** Chunks `[from, to)` as they were added. */
  chunks(from: number, to: number): Chunk[] {
    const result: Chunk[] = []
    for (const [part, own] of this.#parts.entries()) {
      const { kind, from: first } = own
      const text = join(own)
      const end = Math.min(to, this.#parts[part + 1]?.from ?? this.next)
      let at = 0
      for (let index = first; index < end; index++) {
        const length = this.#lengths[index] ?? 0
        if (index >= from) {
          const piece = text.slice(at, at + length)
          result.push({ kind, part, text: piece, bytes: Buffer.byteLength(piece), atMs: 0 })
        }
        at += length
      }
    }
    return result
  }

  /** All text parts joined. */
  content(): string {
    return this.#parts.map((own) => (own.kind === 'text' ? join(own) : '')).join('')
  }

  /** undefined when the answer is one part of text, or nothing. */
  parts(): StoredMessage['parts'] {
    const [first, second] = this.#parts
    if (first === undefined || (second === undefined && first.kind === 'text')) return undefined
    return this.#parts.map((own, part) => ({ part, kind: own.kind, text: join(own) }))
  }

  /** `[i]` counts chunks of 2^i to 2^(i+1)-1 UTF-16 units. */
  chunkSizes(): number[] {
    return [...this.#sizes]
  }
}

/** Its whole text. */
function join(part: Part): string {
  part.text += part.newest.join('')
  part.newest.length = 0
  return part.text
}
