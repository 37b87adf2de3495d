import { closeCodes } from '#client/frames.ts'
import type { ErrorCode } from '../../chat/errors.ts'

/** How a socket is closed that is refused for this reason. What may be tried again gets a code that says so. */
export function closeCodeOf(code: ErrorCode): number {
  switch (code) {
    case 'invalid_request':
      return closeCodes.malformed
    case 'not_authenticated':
      return closeCodes.notAuthenticated
    case 'forbidden':
    case 'not_found':
    case 'gone':
      return closeCodes.notYourSession
    case 'too_large':
      return closeCodes.frameTooLarge
    case 'rate_limited':
      return closeCodes.tooMany
    default:
      return closeCodes.draining
  }
}
