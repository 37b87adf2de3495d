import type { Model } from '#gateway/models/model.ts'
import { nowMs, Source } from './source.ts'

/** A model in the gateway's own process whose tokens are their due times, as `BENCH_RATE` and `BENCH_TOKENS` say. */
export function sourceModel(env: Record<string, string | undefined>): Model {
  const source = new Source(Number(env['BENCH_EPOCH_MS'] ?? nowMs()))
  const tokensPerSecond = Number(env['BENCH_RATE'] ?? 30)
  const tokens = Number(env['BENCH_TOKENS'] ?? 150)
  return {
    health: async () => ({ state: 'off' }),
    stream: (_request, sink, signal) =>
      new Promise((resolve, reject) => {
        const stop = source.start({
          tokensPerSecond,
          tokens,
          token: (text) => sink.delta('text', text),
          end: () => resolve({ finishReason: 'stop' }),
        })
        signal.addEventListener('abort', () => {
          stop()
          reject(signal.reason)
        })
      }),
  }
}

/** All clients of a bench are one user. */
export const unlimited = {
  RATE_CHATS_PER_MINUTE: '0',
  RATE_REQUESTS_PER_MINUTE: '0',
  MAX_GENERATIONS_PER_USER: '0',
  MAX_CONNECTIONS_PER_USER: '0',
  MAX_CONNECTIONS: '0',
}
