import type { Model, ModelEnd, ModelError, ModelRequest, ModelSink } from '#gateway/models/model.ts'
import { until } from './until.ts'

/** One call of the model, played by the test. */
export interface ModelCall {
  request: ModelRequest
  signal: AbortSignal
  sink: ModelSink
  /** Text deltas. */
  say(...deltas: string[]): void
  think(...deltas: string[]): void
  end(end?: Partial<ModelEnd>): void
  fail(error: ModelError | Error): void
}

/** A model that says what the test says, when it says it. */
export class ScriptedModel implements Model {
  readonly calls: ModelCall[] = []

  health(): Promise<{ state: 'off' }> {
    return Promise.resolve({ state: 'off' })
  }

  /** The call that makes this answer, once it has come. */
  async call(messageId: string): Promise<ModelCall> {
    const find = () => this.calls.find(({ request }) => request.messageId === messageId)
    return (await until(find)) as ModelCall
  }

  stream(request: ModelRequest, sink: ModelSink, signal: AbortSignal): Promise<ModelEnd> {
    const { promise, resolve, reject } = Promise.withResolvers<ModelEnd>()
    signal.addEventListener('abort', () => reject(signal.reason))
    this.calls.push({
      request,
      signal,
      sink,
      say: (...deltas) => {
        for (const delta of deltas) sink.delta('text', delta)
      },
      think: (...deltas) => {
        for (const delta of deltas) sink.delta('reasoning', delta)
      },
      end: (end) => resolve({ finishReason: 'stop', ...end }),
      fail: reject,
    })
    return promise
  }
}
