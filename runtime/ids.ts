import { randomBytes } from 'node:crypto'

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i

/** A UUIDv7 of this instant; two of one millisecond differ and sort in the order they were made. */
export function uuidv7(atMs: number): string {
  return Bun.randomUUIDv7('hex', atMs)
}

/** The instant inside a UUIDv7, milliseconds since the epoch. */
export function timeOfUuid(id: string): number {
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)
}

export function isUuid7(value: string): boolean {
  return isUuid(value) && value[14] === '7'
}

export function isUuid(value: string): boolean {
  return uuid.test(value)
}

/** 144 random bits, safe in a URL: what only its holder can name. */
export function randomToken(): string {
  return randomBytes(18).toString('base64url')
}
