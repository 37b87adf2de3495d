import { z } from 'zod'
import type { Archive } from '../chat/archive.ts'
import { ContractError } from '../chat/errors.ts'
import type { Entry } from './entry.ts'
import { parse, queryOf, soughtText, wholeNumber } from './parse.ts'

const Search = z.object({ q: soughtText(1_000), limit: wholeNumber(1, 100).default(20) })

/** `GET /api/search`; `isTextKept` is false with `EVENT_CONTENT=none`: then there is nothing to search. */
export function getSearch(deps: {
  entry: Entry
  archive: Archive
  isTextKept: boolean
}): (request: Request) => Promise<Response> {
  return async (request) => {
    const who = await deps.entry.enter(request)
    if (!deps.isTextKept) {
      throw new ContractError('not_found', 'There is no search, as no text is kept.')
    }
    const { q, limit } = parse(Search, queryOf(new URL(request.url)))
    const results = await deps.archive.search(who, q, limit)
    return Response.json({ results, count: results.length })
  }
}
