import type { Cursor, LogStep, Status } from '../../generations/generations.ts'
import type { ContractError } from '../errors.ts'

/** Of the text of one merged frame, in UTF-16 units: at most 48 KiB of UTF-8, so that the frame stays below 64 KiB. */
const mergedUnitsMax = 16_384

/** Of a text that is looked through by hand. */
const plainLengthMax = 64

const encoder = new TextEncoder()

/** A frame as it goes on the wire: built once, sent to many. */
export class Frame {
  readonly type: string
  readonly json: string
  /** The answer that it belongs to; empty for a frame of none. */
  readonly messageId: string
  readonly epoch: number
  /** Of numbered frames and `live`; -1 for all others. */
  readonly seq: number
  #event: Uint8Array | null = null

  constructor(type: string, json: string, messageId = '', epoch = 0, seq = -1) {
    this.type = type
    this.json = json
    this.messageId = messageId
    this.epoch = epoch
    this.seq = seq
  }

  /** As one event of an SSE stream. */
  get event(): Uint8Array {
    if (this.#event === null) {
      const id = this.seq < 0 ? '' : `id: ${this.epoch}-${this.seq}\n`
      this.#event = encoder.encode(`event: ${this.type}\n${id}data: ${this.json}\n\n`)
    }
    return this.#event
  }
}

/**
 * The frames of steps `from` and after: neighbouring chunks of one part are one frame. `isNumbered` false: as a snapshot
 * has them, counted by `chunkIndex` alone.
 */
export function framesOf(
  epoch: number,
  steps: readonly LogStep[],
  { from = 0, isNumbered = true }: { from?: number; isNumbered?: boolean } = {},
): Frame[] {
  const frames: Frame[] = []
  let at = from
  for (;;) {
    const first = steps[at]
    if (first === undefined) return frames
    at += 1
    if (first.type !== 'chunk') {
      const messageId = first.type === 'erased' ? '' : first.messageId
      const json = `${first.frame},"seq":${first.seq}}`
      frames.push(new Frame(first.type, json, messageId, epoch, first.seq))
      continue
    }
    let text = first.text
    let last = first
    for (let next = steps[at]; next !== undefined; next = steps[at]) {
      if (next.type !== 'chunk' || !isSamePart(first, next)) break
      if (text.length + next.text.length > mergedUnitsMax) break
      text += next.text
      last = next
      at += 1
    }
    const json = chunkJson(first, last, text, isNumbered)
    frames.push(new Frame('chunk', json, first.messageId, epoch, isNumbered ? last.seq : -1))
  }
}

type Chunk = Extract<LogStep, { type: 'chunk' }>

function isSamePart(one: Chunk, other: Chunk): boolean {
  return one.part === other.part && one.kind === other.kind && one.messageId === other.messageId
}

/** By hand: one `JSON.stringify` of a small string costs a third of one of the whole frame. */
function chunkJson(first: Chunk, last: Chunk, text: string, isNumbered: boolean): string {
  const isUsual = isNumbered && last === first && first.kind === 'text' && first.part === 0
  // In one go: each further piece of a text under way is one more object.
  if (isUsual && isPlain(text)) {
    return `{"type":"chunk","messageId":"${first.messageId}","chunkIndex":${last.chunkIndex},"text":"${text}","seq":${last.seq}}`
  }
  let json = `{"type":"chunk","messageId":"${first.messageId}","chunkIndex":${last.chunkIndex}`
  if (last !== first) json += `,"fromChunkIndex":${first.chunkIndex}`
  if (first.kind !== 'text') json += `,"kind":"${first.kind}"`
  if (first.part !== 0) json += `,"part":${first.part}`
  json += `,"text":${quoted(text)}`
  if (!isNumbered) return `${json}}`
  if (last !== first) json += `,"fromSeq":${first.seq}`
  return `${json},"seq":${last.seq}}`
}

function quoted(text: string): string {
  return isPlain(text) ? `"${text}"` : JSON.stringify(text)
}

/** A token is a few letters that need no escape: looking costs a tenth of what `JSON.stringify` does. */
function isPlain(text: string): boolean {
  if (text.length > plainLengthMax) return false
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at)
    if (unit < 0x20 || unit === 0x22 || unit === 0x5c || unit >= 0xd800) return false
  }
  return true
}

export function statusFrame(messageId: string, status: Status): Frame {
  return new Frame('status', JSON.stringify({ type: 'status', messageId, status }), messageId)
}

export function liveFrame({ epoch, seq }: Cursor): Frame {
  return new Frame('live', `{"type":"live","cursor":"${epoch}-${seq}"}`, '', epoch, seq)
}

export function errorFrame(error: ContractError): Frame {
  return new Frame('error', JSON.stringify({ type: 'error', ...error.toJSON() }))
}

/** A frame of the connection's own. */
export function plainFrame(body: { type: string; [name: string]: unknown }): Frame {
  return new Frame(body.type, JSON.stringify(body))
}

export const pingFrame = plainFrame({ type: 'ping' })
export const pongFrame = plainFrame({ type: 'pong' })
