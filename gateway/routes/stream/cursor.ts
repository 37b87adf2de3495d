import type { Cursor } from '../../generations/generations.ts'

const cursor = /^(\d{1,16})-(\d{1,16})$/

/** `<epoch>-<seq>`; null when it is none. */
export function parseCursor(text: string): Cursor | null {
  const match = cursor.exec(text)
  const epoch = Number(match?.[1])
  const seq = Number(match?.[2])
  return Number.isSafeInteger(epoch) && Number.isSafeInteger(seq) ? { epoch, seq } : null
}
