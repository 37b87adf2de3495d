import { atEnd, opened } from './tracker.ts'

export interface Receiver {
  /** What it answers. */
  status: number
  /** What it has taken, in order. */
  calls: { body: unknown; key: string | null; method: string }[]
  url: string
}

/** A webhook of the test's own that answers as it is told. */
export function receiver(): Receiver {
  const state: Receiver = { status: 200, calls: [], url: '' }
  const closed = opened('receiver')
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(request) {
      const { method, headers } = request
      const body: unknown = await request.json()
      const key = headers.get('idempotency-key')
      if (state.status < 400) state.calls.push({ body, key, method })
      return new Response(null, { status: state.status })
    },
  })
  atEnd(async () => {
    await server.stop(true)
    closed()
  })
  state.url = server.url.href
  return state
}
