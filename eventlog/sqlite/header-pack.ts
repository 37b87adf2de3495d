type Headers = [name: string, value: Uint8Array][]

export interface Packed {
  keyIsNull: boolean
  valueIsNull: boolean
  headers: Headers
}

const keyNull = 1
const valueNull = 2
const nameMax = 0xffff

/**
 * Headers as one run of bytes: flags, then for each header the lengths of name (2 bytes) and value (4 bytes), then both.
 * The answer of `pack` is good until the next `pack`.
 */
export class HeaderPacker {
  #scratch = Buffer.allocUnsafe(4_096)
  readonly #names = new Map<string, Uint8Array>()

  pack(headers: Headers, flags: number): Uint8Array {
    let size = 1
    for (const [name, value] of headers) size += 6 + this.#nameOf(name).length + value.length
    if (size > this.#scratch.length) this.#scratch = Buffer.allocUnsafe(2 * size)
    const scratch = this.#scratch
    scratch[0] = flags
    let at = 1
    for (const [name, value] of headers) {
      const bytes = this.#nameOf(name)
      scratch[at] = bytes.length & 0xff
      scratch[at + 1] = bytes.length >>> 8
      scratch[at + 2] = value.length & 0xff
      scratch[at + 3] = (value.length >>> 8) & 0xff
      scratch[at + 4] = (value.length >>> 16) & 0xff
      scratch[at + 5] = value.length >>> 24
      at += 6
      scratch.set(bytes, at)
      at += bytes.length
      scratch.set(value, at)
      at += value.length
    }
    return scratch.subarray(0, size)
  }

  // Names are few, but whoever writes may invent one for each record.
  #nameOf(name: string): Uint8Array {
    const known = this.#names.get(name)
    if (known !== undefined) return known
    const bytes = Buffer.from(name)
    if (bytes.length > nameMax) throw new RangeError('a header name has over 65,535 bytes')
    if (this.#names.size < 256) this.#names.set(name, bytes)
    return bytes
  }
}

export function flagsOf(key: Uint8Array | null, value: Uint8Array | null): number {
  return (key === null ? keyNull : 0) | (value === null ? valueNull : 0)
}

export function unpack(bytes: Uint8Array): Packed {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const flags = buffer.readUInt8(0)
  const headers: Headers = []
  for (let at = 1; at < buffer.length; ) {
    const nameEnd = at + 6 + buffer.readUInt16LE(at)
    const valueEnd = nameEnd + buffer.readUInt32LE(at + 2)
    headers.push([buffer.toString('utf8', at + 6, nameEnd), bytes.subarray(nameEnd, valueEnd)])
    at = valueEnd
  }
  return {
    keyIsNull: (flags & keyNull) !== 0,
    valueIsNull: (flags & valueNull) !== 0,
    headers,
  }
}
