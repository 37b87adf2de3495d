import { z } from 'zod'
import type { Ask } from '../chat/asks.ts'
import { id, invalid, shortText } from './parse.ts'

const objectRule = 'must be an object'
const temperatureRule = 'must be a number from 0 to 2'
const tokensRule = 'must be a whole number of at least 1'

/**
 * What a question may have beside its text, on every transport. Shape alone: what it means is checked where the
 * questions of all transports come together.
 */
export const askFields = {
  options: z
    .object(
      {
        model: shortText(200).optional(),
        system: z.string({ error: 'must be a text' }).optional(),
        temperature: z
          .number({ error: temperatureRule })
          .min(0, temperatureRule)
          .max(2, temperatureRule)
          .optional(),
        maxTokens: z.int({ error: tokensRule }).min(1, tokensRule).optional(),
      },
      { error: objectRule },
    )
    .optional(),
  metadata: z.record(z.string(), z.unknown(), { error: objectRule }).optional(),
  regenerate: id().optional(),
  attachments: z.undefined({ error: 'is not possible yet' }).optional(),
}

const AskFields = z.object(askFields)

/** `field` is what the transport calls the text; without it, or something to regenerate, that is `invalid_request`. */
export function askOf(
  fields: z.infer<typeof AskFields>,
  text: { field: string; content: string | undefined },
): Ask {
  const { options, metadata, regenerate } = fields
  const { field, content } = text
  if (content === undefined && regenerate === undefined) {
    throw invalid(`${field}: must be a text`, field)
  }
  return {
    ...(content !== undefined && { content }),
    ...(options !== undefined && { options: definedOf(options) }),
    ...(metadata !== undefined && { metadata }),
    ...(regenerate !== undefined && { regenerate }),
  }
}

type Defined<T> = { [Key in keyof T]: Exclude<T[Key], undefined> }

function definedOf<T extends object>(value: T): Defined<T> {
  const members = Object.entries(value).filter(([, member]) => member !== undefined)
  return Object.fromEntries(members) as Defined<T>
}
