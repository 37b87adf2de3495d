// Frames between the client's process and its parent: u32 length of the rest, u8 kind, body; all little-endian.

export const version = 2

/** What the parent says. */
export const told = { hello: 1, call: 2, produce: 3, ping: 4, credit: 5 }
/** What the client says. */
export const said = { ready: 1, answer: 2, reports: 3, pong: 4, records: 5, event: 6, page: 7 }

const headBytes = 5
const reportBytes = 18
const reportsMax = 1_000

/**
 * Cuts what arrives into frames.
 * @param {(kind: number, body: Buffer) => void} onFrame
 */
export function frameReader(onFrame) {
  /** @type {Buffer[]} */
  let parts = []
  let held = 0
  let wanted = headBytes
  return (/** @type {Buffer} */ chunk) => {
    parts.push(chunk)
    held += chunk.length
    while (held >= wanted) {
      const all = parts.length === 1 ? parts[0] : Buffer.concat(parts)
      let at = 0
      while (all.length - at >= headBytes) {
        const length = all.readUInt32LE(at) + 4
        if (all.length - at < length) break
        onFrame(all[at + 4], all.subarray(at + headBytes, at + length))
        at += length
      }
      held = all.length - at
      parts = held === 0 ? [] : [all.subarray(at)]
      wanted = held >= headBytes ? all.readUInt32LE(at) + 4 : headBytes
    }
  }
}

/** @param {number} kind @param {number} bodyBytes */
export function newFrame(kind, bodyBytes) {
  const frame = Buffer.allocUnsafe(headBytes + bodyBytes)
  frame.writeUInt32LE(bodyBytes + 1, 0)
  frame[4] = kind
  return frame
}

/** @param {number} kind @param {unknown} value */
export function jsonFrame(kind, value) {
  const body = Buffer.from(JSON.stringify(value))
  const frame = newFrame(kind, body.length)
  body.copy(frame, headBytes)
  return frame
}

/** What became of records that were handed over, written into frames as it comes. */
export class Reports {
  #frame = newFrame(said.reports, reportsMax * reportBytes)
  #view = new DataView(this.#frame.buffer, this.#frame.byteOffset, this.#frame.length)
  count = 0

  get isFull() {
    return this.count === reportsMax
  }

  /** @param {number} id @param {number} code @param {number} partition @param {number} offset */
  add(id, code, partition, offset) {
    const at = headBytes + this.count * reportBytes
    const view = this.#view
    view.setUint32(at, id, true)
    view.setInt16(at + 4, code, true)
    view.setInt32(at + 6, partition, true)
    view.setFloat64(at + 10, offset, true)
    this.count += 1
  }

  /** A frame of them all; what is added from now on goes into another. */
  take() {
    const bytes = this.count * reportBytes
    const frame = newFrame(said.reports, bytes)
    this.#frame.copy(frame, headBytes, headBytes, headBytes + bytes)
    this.count = 0
    return frame
  }
}

/**
 * Records with two numbers before them: member and stream, or call and whether it is the last page.
 * @param {number} kind @param {[number, number]} head @param {any[]} messages
 */
export function recordsFrame(kind, head, messages) {
  const frame = newFrame(kind, 12 + recordsBytes(messages))
  frame.writeUInt32LE(head[0], 5)
  frame.writeUInt32LE(head[1], 9)
  frame.writeUInt32LE(messages.length, 13)
  let at = 17
  for (const { offset, timestamp, key, value, headers } of messages) {
    frame.writeDoubleLE(offset, at)
    frame.writeDoubleLE(timestamp, at + 8)
    at = writeBytes(frame, key, at + 16)
    at = writeBytes(frame, value, at)
    frame.writeUInt16LE(headers === undefined ? 0 : headers.length, at)
    at += 2
    if (headers === undefined) continue
    for (const header of headers) {
      for (const name in header) {
        const bytes = bytesOfName(name)
        frame.writeUInt16LE(bytes.length, at)
        copy(bytes, frame, at + 2)
        at = writeBytes(frame, header[name], at + 2 + bytes.length)
      }
    }
  }
  return frame
}

/** The bytes that messages take in a frame. @param {any[]} messages */
function recordsBytes(messages) {
  let bytes = 0
  for (const { key, value, headers } of messages) {
    bytes += 26 + (key === null ? 0 : key.length) + (value === null ? 0 : value.length)
    if (headers === undefined) continue
    for (const header of headers) {
      for (const name in header) bytes += 6 + bytesOfName(name).length + header[name].length
    }
  }
  return bytes
}

/** @param {Buffer} frame @param {Buffer | null} bytes @param {number} at */
function writeBytes(frame, bytes, at) {
  if (bytes === null) {
    frame.writeInt32LE(-1, at)
    return at + 4
  }
  frame.writeInt32LE(bytes.length, at)
  copy(bytes, frame, at + 4)
  return at + 4 + bytes.length
}

/** A call for a few bytes costs more than the bytes. @param {Buffer} bytes @param {Buffer} frame @param {number} at */
function copy(bytes, frame, at) {
  const { length } = bytes
  if (length > 64) frame.set(bytes, at)
  else for (let index = 0; index < length; index += 1) frame[at + index] = bytes[index]
}

const namesMax = 1_000
/** @type {Map<string, Buffer>} */
const encoded = new Map()
/** Names of headers come again and again. @param {string} name */
function bytesOfName(name) {
  const known = encoded.get(name)
  if (known !== undefined) return known
  const bytes = Buffer.from(name)
  if (encoded.size < namesMax) encoded.set(name, bytes)
  return bytes
}
