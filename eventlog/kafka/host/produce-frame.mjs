// Records to be produced, as the parent's `produce-frame.ts` writes them.

const sameAsBefore = 0xffffffff
const namesMax = 1_000
const pooledBytesMax = 64
const pooledPlacesMax = 32

/** @typedef {{ header: Record<string, Uint8Array>, bytes: Uint8Array }} Pooled */
/** @typedef {{ name: string, pool: Pooled[][] }} Name */

/**
 * Reads a frame record by record, each as arguments of the client's `produce`, which copies what it is given: short keys
 * and headers are written into the same arrays and objects again and again, and hold until the next record is read. Not
 * empty ones: the client takes an array without any memory for null.
 */
export class ProduceReader {
  id = 0
  topic = ''
  partition = -1
  timestamp = -1
  /** @type {Uint8Array | null} */
  key = null
  /** @type {Uint8Array | null} */
  value = null
  /** @type {Record<string, Uint8Array>[]} */
  headers = []
  /** @type {Buffer} */
  #body = Buffer.alloc(0)
  /** @type {ArrayBufferLike} */
  #buffer = this.#body.buffer
  #offset = 0
  #at = 0
  #left = 0
  #nextId = 0
  /** @type {string[]} */
  #topics = []
  /** @type {Name[]} */
  #names = []
  /** @type {Uint8Array[]} */
  #keys = []
  /** @type {Map<string, Name>} */
  #known = new Map()

  /** @param {Buffer} body */
  open(body) {
    this.#body = body
    // Asking a view for its buffer costs more than to read a record's numbers.
    this.#buffer = body.buffer
    this.#offset = body.byteOffset
    this.#nextId = body.readUInt32LE(0)
    this.#left = body.readUInt32LE(4)
    this.#at = 9
    this.#topics = []
    for (let left = body[8]; left > 0; left -= 1) this.#topics.push(this.#name())
    this.#names = []
    this.headers = []
  }

  /** Whether there was one more record. */
  next() {
    if (this.#left === 0) {
      this.#body = Buffer.alloc(0)
      this.#buffer = this.#body.buffer
      return false
    }
    this.#left -= 1
    this.id = this.#nextId
    this.#nextId = (this.#nextId + 1) >>> 0
    const body = this.#body
    const at = this.#at
    this.topic = this.#topics[body[at]]
    this.partition = body.readInt32LE(at + 1)
    this.timestamp = body.readDoubleLE(at + 5)
    this.#at = at + 13
    this.key = this.#key()
    const length = this.#length()
    this.value = length < 0 ? null : this.#view(length)
    const count = body.readUInt16LE(this.#at)
    this.#at += 2
    this.headers.length = count
    for (let place = 0; place < count; place += 1) this.#header(place)
    return true
  }

  #key() {
    const length = this.#length()
    if (length < 0) return null
    if (length === 0 || length > pooledBytesMax) return this.#view(length)
    this.#keys[length] ??= new Uint8Array(length)
    const key = this.#keys[length]
    this.#copyTo(key)
    return key
  }

  /** @param {number} place */
  #header(place) {
    const index = this.#body.readUInt32LE(this.#at)
    this.#at += 4
    if (index === sameAsBefore) return
    if (index === this.#names.length) this.#names.push(this.#nameOf(this.#name()))
    const { name, pool } = this.#names[index]
    const length = this.#length()
    if (length === 0 || length > pooledBytesMax || place >= pooledPlacesMax) {
      this.headers[place] = { [name]: this.#view(length) }
      return
    }
    pool[place] ??= []
    pool[place][length] ??= newPooled(name, length)
    const pooled = pool[place][length]
    this.#copyTo(pooled.bytes)
    this.headers[place] = pooled.header
  }

  /** @param {string} name @returns {Name} */
  #nameOf(name) {
    const known = this.#known.get(name)
    if (known !== undefined) return known
    const made = { name, pool: [] }
    if (this.#known.size < namesMax) this.#known.set(name, made)
    return made
  }

  #name() {
    const from = this.#at + 2
    this.#at = from + this.#body.readUInt16LE(this.#at)
    return this.#body.toString('utf8', from, this.#at)
  }

  #length() {
    const length = this.#body.readInt32LE(this.#at)
    this.#at += 4
    return length
  }

  /** A third of what a slice of the Buffer costs. @param {number} length */
  #view(length) {
    const view = new Uint8Array(this.#buffer, this.#offset + this.#at, length)
    this.#at += length
    return view
  }

  /** @param {Uint8Array} bytes */
  #copyTo(bytes) {
    const body = this.#body
    const from = this.#at
    const { length } = bytes
    for (let at = 0; at < length; at += 1) bytes[at] = body[from + at]
    this.#at = from + length
  }
}

/** @param {string} name @param {number} length @returns {Pooled} */
function newPooled(name, length) {
  const bytes = new Uint8Array(length)
  return { header: { [name]: bytes }, bytes }
}
