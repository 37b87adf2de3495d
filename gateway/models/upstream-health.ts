import OpenAI from 'openai'

type State = { state: 'up' | 'down'; reason?: string }

const freshMs = 10_000
const patienceMs = 2_000

/** Asks for the list of models, at most every 10 s, and not at all while answers come. */
export function upstreamHealth(client: OpenAI) {
  let known: State = { state: 'up' }
  let knownUntil = 0
  let asking: Promise<State> | undefined
  const learn = (state: State) => {
    known = state
    knownUntil = performance.now() + freshMs
    return state
  }
  return {
    answered(): void {
      learn({ state: 'up' })
    },
    async ask(): Promise<State> {
      if (performance.now() < knownUntil) return known
      asking ??= look(client)
        .then(learn)
        .finally(() => {
          asking = undefined
        })
      return await asking
    },
  }
}

async function look(client: OpenAI): Promise<State> {
  try {
    const signal = AbortSignal.timeout(patienceMs)
    const response = await client.get('/models', { signal }).asResponse()
    await response.body?.cancel()
    return { state: 'up' }
  } catch (error) {
    const status = error instanceof OpenAI.APIError ? error.status : undefined
    if (status === undefined) return { state: 'down', reason: 'out of reach' }
    // A server without such a list is a server all the same.
    const isRefusal = status === 401 || status === 403 || status >= 500
    return isRefusal ? { state: 'down', reason: `HTTP ${status}` } : { state: 'up' }
  }
}
