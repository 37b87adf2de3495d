import { type Context, context, propagation, type Span, SpanKind, trace } from '@opentelemetry/api'

export interface AskTrace {
  /** The model call; events carry its `traceparent`. */
  span: Span
  context: Context
  traceparent: string | undefined
}

const traceparentForm = /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/

/** The span of an answer's model call, below the request's: the active one, else the one that `given` names. */
export function traceAnswer(given: string | undefined): AskTrace {
  const traceparent = given !== undefined && traceparentForm.test(given) ? given : undefined
  const active = context.active()
  const parent =
    traceparent === undefined || trace.getSpan(active) !== undefined
      ? active
      : propagation.extract(active, { traceparent })
  const span = trace
    .getTracer('sluice')
    .startSpan('model.stream', { kind: SpanKind.CLIENT }, parent)
  const own = trace.setSpan(parent, span)
  const carrier: { traceparent?: string } = {}
  propagation.inject(own, carrier)
  return { span, context: own, traceparent: carrier.traceparent ?? traceparent }
}
