import { postJson, sentenceOf, type Target } from './target.ts'

/** The event itself as the body; `Idempotency-Key` tells a repeat. */
export function webhookTarget(url: string): Target {
  return {
    name: 'webhook',
    send: (event, signal) =>
      postJson(url, {
        body: JSON.stringify(event),
        headers: { 'idempotency-key': event.eventId },
        signal,
      }),
  }
}

export function slackTarget(url: string): Target {
  return {
    name: 'slack',
    send: (event, signal) =>
      postJson(url, { body: JSON.stringify({ text: escaped(sentenceOf(event)) }), signal }),
  }
}

/** What Slack would take for markup. */
function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
