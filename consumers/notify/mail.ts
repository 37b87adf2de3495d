import { createTransport } from 'nodemailer'
import { Away } from '../away.ts'
import type { NotifyTargets } from './config.ts'
import { sentenceOf, type Target } from './target.ts'

const timeoutMs = 10_000

/** One mail an event, its `Message-ID` made of the event's id so that a repeat can be told. */
export function mailTarget({ smtpUrl, from, to }: NonNullable<NotifyTargets['mail']>): Target {
  const transport = createTransport({
    url: smtpUrl,
    connectionTimeout: timeoutMs,
    greetingTimeout: timeoutMs,
    socketTimeout: timeoutMs,
  })
  return {
    name: 'mail',
    async send(event) {
      const { eventId, timestamp, tenantId, userId, sessionId, nodeId } = event
      const { messageId, errorType, error, outcome } = event
      const facts = { timestamp, tenantId, userId, sessionId, messageId, outcome, errorType, error }
      const lines = Object.entries({ ...facts, nodeId, eventId }).map(
        ([name, value]) => `${name}: ${value}`,
      )
      try {
        await transport.sendMail({
          from,
          to,
          messageId: `<${eventId}@sluice>`,
          subject: `Sluice: ${errorType} in session ${sessionId}`,
          text: `${sentenceOf(event)}\n\n${lines.join('\n')}\n`,
          disableFileAccess: true,
          disableUrlAccess: true,
        })
      } catch (cause) {
        const message = cause instanceof Error ? cause.message : String(cause)
        if (isFinal(cause)) throw new Error(message, { cause })
        throw new Away(message, { cause })
      }
    },
  }
}

/** The server has refused this very mail: its answer is 500 to 599. */
function isFinal(error: unknown): boolean {
  if (!(error instanceof Error) || !('responseCode' in error)) return false
  const { responseCode } = error
  const isRefusal = typeof responseCode === 'number' && responseCode >= 500
  // A wrong password is an operator's to mend, and every mail's trouble.
  return isRefusal && !('code' in error && error.code === 'EAUTH')
}
