import kafka from '@confluentinc/kafka-javascript'

const connectMs = 5_000
const retryMs = 500
const sameMs = 10_000

export const { Producer, KafkaConsumer, AdminClient, OffsetSpec, librdkafkaVersion } = kafka

/**
 * A client that is connected. One whose first look at the brokers fails cannot be used again, so each try is a new one.
 * @template Client
 * @param {() => Client} make
 * @param {(reason: string) => void} onFailure
 * @param {() => boolean} isOver
 * @returns {Promise<Client | null>} null when it is over before that
 */
export async function connected(make, onFailure, isOver) {
  while (!isOver()) {
    const client = make()
    const failure = await connect(client)
    if (failure === null) return client
    onFailure(failure)
    await new Promise((resolve) => setTimeout(resolve, retryMs))
  }
  return null
}

/** @param {any} client @returns {Promise<string | null>} */
function connect(client) {
  return new Promise((resolve) => {
    client.connect({ timeout: connectMs, allTopics: false }, (/** @type {Error | null} */ error) =>
      resolve(error ? error.message : null),
    )
  })
}

/**
 * Warnings and errors of the client, which speaks of them in events; the same again only after a while.
 * @param {any} client @param {string} name @param {(event: object) => void} tell
 */
export function tellEvents(client, name, tell) {
  /** @type {Map<string, number>} */
  const told = new Map()
  const once = (/** @type {{ message: string }} */ event) => {
    const now = performance.now()
    if (now - (told.get(event.message) ?? Number.NEGATIVE_INFINITY) < sameMs) return
    if (told.size > 100) told.clear()
    told.set(event.message, now)
    tell(event)
  }
  client.on('event.error', (/** @type {any} */ { code, message }) => {
    once({ is: 'error', client: name, code, message })
  })
  client.on('event.log', (/** @type {any} */ { severity, fac, message }) => {
    once({ is: 'log', client: name, severity, fac, message })
  })
}

/** @template T @param {(answer: (error: unknown, value: T) => void) => void} ask @returns {Promise<T>} */
export function asked(ask) {
  return new Promise((resolve, reject) => {
    ask((error, value) => (error ? reject(error) : resolve(value)))
  })
}
