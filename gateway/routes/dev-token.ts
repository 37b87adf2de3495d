import { z } from 'zod'
import type { DevTokens } from '../auth/dev-tokens.ts'
import { ContractError } from '../chat/errors.ts'
import { bodyOf, id, parse, shortText } from './parse.ts'

const bodyBytesMax = 65_536

const Asked = z.object({
  userId: id(),
  tenantId: id().optional(),
  roles: z
    .array(shortText(64), { error: 'must be a list of texts' })
    .max(32, 'must have at most 32 members')
    .optional(),
})

/** `POST /api/dev/token`; `tokens` is null outside development: then there is no such path. */
export function postDevToken(tokens: DevTokens | null): (request: Request) => Promise<Response> {
  return async (request) => {
    if (tokens === null) throw new ContractError('not_found', 'There is nothing here.')
    const { user_id: userId, ...rest } = await bodyOf(request, bodyBytesMax)
    const asked = parse(Asked, { ...(userId !== undefined && { userId }), ...rest })
    return Response.json(await tokens(asked), { headers: { 'cache-control': 'no-store' } })
  }
}
