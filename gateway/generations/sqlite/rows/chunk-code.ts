import type { ChunkKind } from '../../generations.ts'

const kinds: readonly ChunkKind[] = ['text', 'reasoning']
const kindsMax = 8

/** Kind and part of a chunk as one small number. */
export function chunkCode(kind: ChunkKind, part: number): number {
  return part * kindsMax + kinds.indexOf(kind)
}

export function kindOf(code: number): ChunkKind {
  return kinds[code % kindsMax] ?? 'text'
}

export function partOf(code: number): number {
  return Math.floor(code / kindsMax)
}
