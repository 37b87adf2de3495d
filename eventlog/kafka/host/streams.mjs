const frameRecordsMax = 500
const frameBytesMax = 256 << 10
// What may lie with the parent unread: of all partitions that it reads, and of one that it doesn't.
const windowBytes = 4 << 20
const shareBytes = 512 << 10

/**
 * @typedef {{ id: number, topic: string, partition: number, unread: number, isLeft: boolean, isPaused: boolean }} Stream
 * A partition from an offset on: another one after each assignment and each seek, so that nothing of the one before is
 * taken for it. `isLeft`: the parent doesn't read it now; `isPaused`: nor do we.
 */

/** The streams of one member, and how much of each lies with the parent unread. */
export class Streams {
  /** @type {Map<string, Stream>} */
  #open = new Map()
  #onPaused

  /** @param {(stream: Stream) => void} onPaused called when a stream has become paused, or goes on */
  constructor(onPaused) {
    this.#onPaused = onPaused
  }

  get isEmpty() {
    return this.#open.size === 0
  }

  /** The parent has gone on with enough of what it reads. */
  get hasRoom() {
    return this.#active() < windowBytes
  }

  /** @param {string} topic @param {number} partition */
  of(topic, partition) {
    return this.#open.get(`${topic}/${partition}`)
  }

  /** @param {string} topic @param {number} partition @param {number} id */
  begin(topic, partition, id) {
    const stream = { id, topic, partition, unread: 0, isLeft: false, isPaused: false }
    this.#open.set(`${topic}/${partition}`, stream)
    return stream
  }

  /** @param {string} topic @param {number} partition */
  end(topic, partition) {
    this.#open.delete(`${topic}/${partition}`)
  }

  /** @param {number} id @param {boolean} isLeft */
  leave(id, isLeft) {
    const stream = this.#byId(id)
    if (stream === undefined) return
    stream.isLeft = isLeft
    this.#balance(stream)
  }

  /** The parent has read so much. @param {number} id @param {number} bytes */
  read(id, bytes) {
    const stream = this.#byId(id)
    if (stream === undefined) return
    stream.unread -= bytes
    this.#balance(stream)
  }

  /** So much has gone to the parent. @param {Stream} stream @param {number} bytes */
  written(stream, bytes) {
    stream.unread += bytes
    this.#balance(stream)
  }

  /** The parent has not gone on for a while: the partitions that it leaves must not keep the others. */
  makeRoom() {
    let active = this.#active()
    const most = [...this.#open.values()].sort((a, b) => b.unread - a.unread)
    for (const stream of most) {
      if (active < windowBytes / 2) break
      if (stream.isLeft || stream.isPaused || stream.unread === 0) continue
      active -= stream.unread
      this.#pause(stream, true)
    }
  }

  /** What `consume` answers, by the streams that there are now, each in order. @param {any[]} messages */
  sorted(messages) {
    /** @type {Map<Stream, any[]>} */
    const found = new Map()
    let topic = ''
    let partition = -1
    /** @type {any[] | undefined} */
    let of
    for (const message of messages) {
      if (message.partition !== partition || message.topic !== topic) {
        topic = message.topic
        partition = message.partition
        const stream = this.of(topic, partition)
        of = stream === undefined ? undefined : found.get(stream)
        if (of === undefined && stream !== undefined) {
          of = []
          found.set(stream, of)
        }
      }
      of?.push(message)
    }
    return found
  }

  #active() {
    let bytes = 0
    for (const { unread, isLeft, isPaused } of this.#open.values()) {
      if (!isLeft && !isPaused) bytes += unread
    }
    return bytes
  }

  /** @param {Stream} stream */
  #balance(stream) {
    if (stream.isPaused && stream.unread < shareBytes / 2) this.#pause(stream, false)
    else if (stream.isLeft && !stream.isPaused && stream.unread >= shareBytes)
      this.#pause(stream, true)
  }

  /** @param {Stream} stream @param {boolean} isPaused */
  #pause(stream, isPaused) {
    stream.isPaused = isPaused
    this.#onPaused(stream)
  }

  /** @param {number} id */
  #byId(id) {
    for (const stream of this.#open.values()) if (stream.id === id) return stream
    return undefined
  }
}

/** In order, in pieces that a frame may hold. @param {any[]} messages */
export function* pieces(messages) {
  let from = 0
  let bytes = 0
  for (let at = 0; at < messages.length; at += 1) {
    bytes += messages[at].size
    if (at + 1 - from < frameRecordsMax && bytes < frameBytesMax) continue
    yield messages.slice(from, at + 1)
    from = at + 1
    bytes = 0
  }
  if (from < messages.length) yield from === 0 ? messages : messages.slice(from)
}
