const commitMs = 10_000

/**
 * Commits that resolve once they are stored. The client's own `commitCb` answers before that, and a commit's callback
 * doesn't say of which commit it is: so one at a time.
 */
export class Commits {
  /** @type {Promise<void>} */
  #last = Promise.resolve()
  /** @type {((error: any, positions: any[]) => void) | null} */
  #onStored = null

  /** For the client to call. @param {any} error @param {any[]} positions */
  stored(error, positions) {
    this.#onStored?.(error, positions)
  }

  /** @param {any} client @param {any[]} positions */
  commit(client, positions) {
    const done = this.#last.then(() => this.#commit(client, positions))
    this.#last = done.catch(() => undefined)
    return done
  }

  /** @param {any} client @param {any[]} positions @returns {Promise<void>} */
  #commit(client, positions) {
    const wanted = new Set(positions.map(nameOf))
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => end(new Error('the commit was not answered')), commitMs)
      const end = (/** @type {Error | null} */ error) => {
        clearTimeout(timer)
        this.#onStored = null
        if (error === null) resolve()
        else reject(error)
      }
      this.#onStored = (error, stored) => {
        if (stored.some((position) => wanted.has(nameOf(position)))) end(error ?? null)
      }
      try {
        client.commit(positions)
      } catch (error) {
        end(/** @type {Error} */ (error))
      }
    })
  }
}

/** @param {{ topic: string, partition: number, offset: number }} position */
function nameOf({ topic, partition, offset }) {
  return `${topic}/${partition}/${offset}`
}
