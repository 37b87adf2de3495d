import type { ChunkKind } from '../generations/generations.ts'

/** Of one chunk, in bytes of UTF-8: an event's run is at most this long, and a run holds whole chunks. */
export const chunkBytesMax = 16 * 1024

const replacement = '\u{FFFD}'

/** Of a text that is looked through by hand. */
const plainLengthMax = 64

/** Lone surrogates and U+0000 become U+FFFD; nothing else changes. */
export function wellFormed(text: string): string {
  const formed = text.isWellFormed() ? text : text.toWellFormed()
  return formed.includes('\0') ? formed.replaceAll('\0', replacement) : formed
}

/** The same for every string, and every name, in a JSON value. */
export function wellFormedJson(value: unknown): unknown {
  if (typeof value === 'string') return wellFormed(value)
  if (Array.isArray(value)) return value.map(wellFormedJson)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [wellFormed(name), wellFormedJson(member)]),
  )
}

/** A piece of an answer. */
export interface Chunk {
  kind: ChunkKind
  part: number
  text: string
  /** Of UTF-8. */
  bytes: number
  /** When it came, in milliseconds of any one clock; bounds the run that tells it. */
  atMs: number
}

/**
 * Makes the chunks of one answer out of a model's deltas, which may be empty, huge, or end inside a character.
 * A part is a run of chunks of one kind, numbered from 0. No chunk is empty, ends inside a surrogate pair or is longer
 * than `chunkBytesMax`; a half pair waits for the next delta of its part and never crosses into another.
 */
export class DeltaSplitter {
  readonly #emit: (chunk: Chunk) => void
  #part = -1
  #partKind: ChunkKind | null = null
  #held = ''
  #heldKind: ChunkKind = 'text'

  constructor(emit: (chunk: Chunk) => void) {
    this.#emit = emit
  }

  delta(kind: ChunkKind, text: string): void {
    if (text === '') return
    if (this.#held === '' && isPlain(text)) {
      this.#piece(kind, text, text.length)
      return
    }
    if (this.#held !== '' && this.#heldKind !== kind) this.end()
    let whole = this.#held + text
    this.#held = ''
    if (isHighSurrogate(whole.charCodeAt(whole.length - 1))) {
      this.#held = whole.slice(-1)
      this.#heldKind = kind
      whole = whole.slice(0, -1)
      if (whole === '') return
    }
    const formed = wellFormed(whole)
    const bytes = Buffer.byteLength(formed)
    if (bytes <= chunkBytesMax) this.#piece(kind, formed, bytes)
    else for (const cut of cuts(formed)) this.#piece(kind, cut.text, cut.bytes)
  }

  /** No more deltas: a half pair that is still held becomes U+FFFD. */
  end(): void {
    if (this.#held === '') return
    this.#held = ''
    this.#piece(this.#heldKind, replacement, 3)
  }

  #piece(kind: ChunkKind, text: string, bytes: number): void {
    if (kind !== this.#partKind) {
      this.#partKind = kind
      this.#part++
    }
    this.#emit({ kind, part: this.#part, text, bytes, atMs: performance.now() })
  }
}

/** A token is a few letters, each a byte: to look at them costs a fraction of the general way. */
function isPlain(text: string): boolean {
  if (text.length > plainLengthMax) return false
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at)
    if (unit === 0 || unit > 0x7f) return false
  }
  return true
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff
}

function* cuts(text: string): Generator<{ text: string; bytes: number }> {
  const encoder = new TextEncoder()
  const buffer = new Uint8Array(chunkBytesMax)
  let from = 0
  while (from < text.length) {
    // No more than this many units can fit, and encodeInto takes only whole characters.
    const { read, written } = encoder.encodeInto(text.slice(from, from + chunkBytesMax), buffer)
    yield { text: text.slice(from, from + read), bytes: written }
    from += read
  }
}
