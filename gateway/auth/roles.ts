import type { Who } from '../chat/asks.ts'
import { ContractError } from '../chat/errors.ts'

/** `admin` may what any role may; neither makes another's session one's own. */
export function requireRole(who: Who, role: string): void {
  if (who.roles.includes(role) || who.roles.includes('admin')) return
  throw new ContractError('forbidden', `The role ${role} is needed.`)
}
