import { z } from 'zod'
import type { Asks } from '../chat/asks.ts'
import type { Entry } from './entry.ts'
import { bodyOf, parse, shortText } from './parse.ts'

const bodyBytesMax = 65_536

const Cancel = z.object({ messageId: shortText(128), userId: shortText(256).optional() })

/** `POST /api/cancel` */
export function postCancel(deps: {
  entry: Entry
  asks: Asks
}): (request: Request) => Promise<Response> {
  return async (request) => {
    const { who, body } = await deps.entry.enterWith(request, async () => {
      const {
        message_id: messageId,
        user_id: userId,
        ...rest
      } = await bodyOf(request, bodyBytesMax)
      const parsed = parse(Cancel, {
        ...(messageId !== undefined && { messageId }),
        ...(userId !== undefined && { userId }),
        ...rest,
      })
      return { body: parsed, named: parsed.userId }
    })
    return Response.json(await deps.asks.cancel(who, body.messageId))
  }
}
