import { pathToFileURL } from 'node:url'
import { UsageError } from '../usage.ts'
import { ReplayFailed } from './stream.ts'

type Fields = Record<string, unknown>

/** Takes one event; the next is handed over when it has resolved. */
export type Deliver = (event: Fields, cursor: string) => Promise<void>

const triesMax = 5
const waitFirstMs = 250
const timeoutMs = 30_000

/** The file's default export (or its export `handle`), called as `(event, { cursor })`. */
export async function toHandler(path: string, folder: string): Promise<Deliver> {
  const url = path.startsWith('file:') ? path : pathToFileURL(resolved(path, folder)).href
  let module: Fields
  try {
    module = (await import(url)) as Fields
  } catch (cause) {
    throw new UsageError(
      `${path} cannot be loaded: ${cause instanceof Error ? cause.message : cause}`,
    )
  }
  const handle = module['default'] ?? module['handle']
  if (typeof handle !== 'function')
    throw new UsageError(`${path} must export a function by default`)
  return async (event, cursor) => {
    await handle(event, { cursor })
  }
}

function resolved(path: string, folder: string): string {
  return path.startsWith('/') ? path : `${folder}/${path}`
}

/** POSTs each event until it is taken; the receiver tells a repeat by `Idempotency-Key`. */
export function toWebhook(url: string, signal: AbortSignal): Deliver {
  return async (event, cursor) => {
    const { eventId } = event
    const headers = {
      'content-type': 'application/json',
      'idempotency-key': typeof eventId === 'string' ? eventId : cursor,
    }
    const body = JSON.stringify(event)
    for (let attempt = 1; ; attempt += 1) {
      const failure = await post(url, { headers, body, signal })
      if (failure === null) return
      if (failure.isFinal || attempt === triesMax) throw new ReplayFailed(failure.message)
      await Bun.sleep(waitFirstMs * 2 ** (attempt - 1))
      signal.throwIfAborted()
    }
  }
}

async function post(
  url: string,
  init: { headers: Record<string, string>; body: string; signal: AbortSignal },
): Promise<{ message: string; isFinal: boolean } | null> {
  const signal = AbortSignal.any([init.signal, AbortSignal.timeout(timeoutMs)])
  try {
    const response = await fetch(url, { method: 'POST', ...init, signal })
    await response.arrayBuffer()
    if (response.ok) return null
    const isFinal = response.status < 500 && response.status !== 408 && response.status !== 429
    return { message: `the webhook answered ${response.status}`, isFinal }
  } catch (error) {
    init.signal.throwIfAborted()
    return {
      message: `the webhook is away: ${error instanceof Error ? error.message : error}`,
      isFinal: false,
    }
  }
}
