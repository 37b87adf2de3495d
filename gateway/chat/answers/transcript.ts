import type { ChunkKind, StoredMessage } from '../../generations/generations.ts'
import type { Chunk } from '../text.ts'

interface Part {
  kind: ChunkKind
  /** Index of its first chunk. */
  from: number
  text: string
}

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
      own = { kind, from: this.#lengths.length, text: '' }
      this.#parts[part] = own
    }
    own.text += text
    this.#lengths.push(text.length)
    const size = 31 - Math.clz32(text.length)
    while (this.#sizes.length <= size) this.#sizes.push(0)
    this.#sizes[size] = (this.#sizes[size] ?? 0) + 1
  }

  /** Chunks `[from, to)` as they were added. */
  chunks(from: number, to: number): Chunk[] {
    const result: Chunk[] = []
    for (const [part, { kind, from: first, text }] of this.#parts.entries()) {
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
    return this.#parts.map(({ kind, text }) => (kind === 'text' ? text : '')).join('')
  }

  /** undefined when the answer is one part of text, or nothing. */
  parts(): StoredMessage['parts'] {
    const [first, second] = this.#parts
    if (first === undefined || (second === undefined && first.kind === 'text')) return undefined
    return this.#parts.map(({ kind, text }, part) => ({ part, kind, text }))
  }

  /** `[i]` counts chunks of 2^i to 2^(i+1)-1 UTF-16 units. */
  chunkSizes(): number[] {
    return [...this.#sizes]
  }
}
