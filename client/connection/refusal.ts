import { ChatError, type ChatErrorCode } from '../chat-error.ts'
import { closeCodes, type ErrorFrame, mayReconnect } from '../frames.ts'
import type { LinkEnd } from './link.ts'

/** A refusal that will be the same next time. */
export function isForGood({ closeCode, status }: LinkEnd): boolean {
  if (closeCode !== undefined) return !mayReconnect(closeCode)
  if (status === undefined || [408, 425, 429].includes(status)) return false
  return status >= 400 && status < 500
}

/** Why the chat is closed, in the server's own words when it told them. */
export function refusal(end: LinkEnd, error: ErrorFrame | null): ChatError {
  const code = error?.code ?? codeOf(end)
  return new ChatError(code, error?.message ?? end.message, {
    temporary: false,
    ...(end.closeCode !== undefined && { closeCode: end.closeCode }),
    ...(end.status !== undefined && { status: end.status }),
  })
}

function codeOf({ closeCode, status }: LinkEnd): ChatErrorCode {
  if (closeCode === closeCodes.notAuthenticated || status === 401) return 'not_authenticated'
  if (closeCode === closeCodes.notYourSession || status === 403) return 'forbidden'
  if (closeCode === closeCodes.frameTooLarge) return 'too_large'
  return 'invalid_request'
}
