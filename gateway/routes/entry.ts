import type { Auth } from '../auth/auth.ts'
import { credentialsOf } from '../auth/credentials.ts'
import type { Who } from '../chat/asks.ts'
import type { Limits } from '../limits/limits.ts'

/** Lets a call under `/api/` in: who it is, counted. */
export interface Entry {
  /** The user that the query names must be the one that asks. */
  enter(request: Request): Promise<Who>
  /** As `enter` where `userId` in the query is something else (a filter). */
  enterUnnamed(request: Request): Promise<Who>
  /**
   * For a call with a body that may name its user: who it is by the token is known before the body is read, and
   * counted once all of it is.
   */
  enterWith<Body>(
    request: Request,
    read: () => Promise<{ body: Body; named: string | undefined }>,
  ): Promise<{ who: Who; body: Body }>
}

export function createEntry(auth: Auth, limits: Limits): Entry {
  const counted = async (who: Who) => {
    await limits.request(who)
    return who
  }
  return {
    async enter(request) {
      return counted(await auth.identify(credentialsOf(request, new URL(request.url))))
    },
    async enterUnnamed(request) {
      const credentials = credentialsOf(request, new URL(request.url))
      return counted(await auth.identify({ ...credentials, named: undefined }))
    },
    async enterWith(request, read) {
      const credentials = credentialsOf(request, new URL(request.url))
      const first = await auth.identify(credentials)
      const { body, named } = await read()
      const who = named === undefined ? first : await auth.identify({ ...credentials, named })
      return { who: await counted(who), body }
    },
  }
}
