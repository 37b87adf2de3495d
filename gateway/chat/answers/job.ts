import { type Context, type Span, SpanStatusCode } from '@opentelemetry/api'
import type { Outcome } from '../../generations/generations.ts'
import type { Begin } from '../../generations/steps.ts'
import type { Slot } from '../../limits/limits.ts'
import type { ModelRequest } from '../../models/model.ts'

/** One accepted question. */
export interface Job {
  begin: Begin
  request: ModelRequest
  slot: Slot
  trace: { span: Span; context: Context; traceparent?: string | undefined }
}

/** `outcome` null: the answer is no longer this node's. */
export function endSpan(span: Span, outcome: Outcome | null): void {
  const isBad = outcome === 'failed' || outcome === 'interrupted'
  if (isBad) span.setStatus({ code: SpanStatusCode.ERROR })
  span.setAttribute('sluice.outcome', outcome ?? 'deposed')
  span.end()
}
