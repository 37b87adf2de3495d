import type { Database } from '#db/client.ts'
import { listSessions } from '#db/queries/list-sessions.ts'
import { readColdSession } from '#db/queries/read-cold-session.ts'
import { readMessage } from '#db/queries/read-message.ts'
import { readMessagesPage } from '#db/queries/read-messages-page.ts'
import { readOwners } from '#db/queries/read-owners.ts'
import { searchMessages } from '#db/queries/search-messages.ts'
import { setTitle } from '#db/queries/set-title.ts'
import { isUuid, timeOfUuid } from '#runtime/ids.ts'
import type { Archive } from '../chat/archive.ts'
import { ContractError } from '../chat/errors.ts'
import { historyBytesMax, historyMessagesMax } from '../generations/generations.ts'
import { guarded } from './guarded.ts'
import { owners } from './owners.ts'

// The time inside an id that somebody made up may be one that Postgres cannot read.
const timeEndMs = Date.UTC(10_000, 0, 1)
const coldBounds = { messagesMax: historyMessagesMax, bytesMax: historyBytesMax }

function isOfTime(messageId: string): boolean {
  return isUuid(messageId) && timeOfUuid(messageId) < timeEndMs
}

/** Reads what the history consumer has written; writes titles alone. */
export function postgresArchive({ db }: Database): Archive {
  const owner = owners((ids) => guarded(() => readOwners(db, ids)))
  return {
    owner,
    async session(sessionId) {
      // Most that hot state doesn't know are new: only what is there is read by itself.
      if ((await owner(sessionId)) === null) return null
      return await guarded(() => readColdSession(db, sessionId, coldBounds))
    },
    async message(messageId) {
      return isOfTime(messageId) ? guarded(() => readMessage(db, messageId)) : null
    },
    async page(session, before, limit) {
      if (before !== undefined && !isOfTime(before)) return { messages: [], hasOlder: false }
      return guarded(() => readMessagesPage(db, session, { before, limit }))
    },
    sessions: (who, before, limit) => guarded(() => listSessions(db, who, { before, limit })),
    async setTitle(session, title) {
      if (await guarded(() => setTitle(db, session, title))) return
      throw new ContractError('forbidden', 'the session belongs to another user')
    },
    search: (who, query, limit) => guarded(() => searchMessages(db, who, { text: query, limit })),
  }
}
