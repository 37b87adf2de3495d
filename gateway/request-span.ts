import {
  type Attributes,
  context,
  propagation,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api'

interface RequestSpan {
  /** Of few values: a route, not a path. */
  name: string
  attributes: Attributes
  /** As the caller sent it. */
  traceparent?: string | null
}

/** Runs what answers a caller in a span below the caller's own; `told` of what came of it, once it is known. */
export function inRequestSpan<T>(
  { name, attributes, traceparent }: RequestSpan,
  run: () => Promise<T>,
  told: (result: T) => Attributes = () => ({}),
): Promise<T> {
  const active = context.active()
  const parent = traceparent ? propagation.extract(active, { traceparent }) : active
  const options = { kind: SpanKind.SERVER, attributes }
  return trace.getTracer('sluice').startActiveSpan(name, options, parent, async (span) => {
    try {
      const result = await run()
      span.setAttributes(told(result))
      return result
    } catch (error) {
      span.setStatus({ code: SpanStatusCode.ERROR })
      throw error
    } finally {
      span.end()
    }
  })
}
