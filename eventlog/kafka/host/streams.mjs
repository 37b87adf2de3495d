const frameRecordsMax = 500
const frameBytesMax = 256 << 10

/**
 * @typedef {{ id: number, topic: string, partition: number, unread: number, isLeft: boolean, isPaused: boolean }} Stream
 * A partition from an offset on: another one after each assignment and each seek, so that nothing of the one before is
 * taken for it. `isLeft`: the parent doesn't read it now; `isPaused`: nor do we.
 */

/**
 * What `consume` answers, by the streams that there are now, each in order.
 * @param {any[]} messages @param {Map<string, Stream>} streams
 */
export function byStream(messages, streams) {
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
      const stream = streams.get(`${topic}/${partition}`)
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
