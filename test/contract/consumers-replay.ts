import { sql } from 'drizzle-orm'
import { type Clock, systemClock } from '#consumers/clock.ts'
import { replayApp } from '#consumers/replay/app.ts'
import type { Replayer } from '#consumers/replay/open-replay.ts'
import { quietLog } from '#runtime/log.ts'
import type { Parts } from './consumers-bench.ts'
import type { Fields } from './consumers-events.ts'

export interface Body {
  events: (Fields & {
    _replay: { topic: string; partition: number; offset: number }
    _raw?: string
  })[]
  count: number
  complete: boolean
  truncated?: boolean
  missing?: Record<string, number>[]
  next?: Record<string, number> & string
  ends: Record<string, number>
  sessionId?: string
  error?: { code: string; field?: string; available?: unknown }
}

export interface Frame {
  event: string
  id: string | null
  data: Record<string, unknown>
}

/** Replay over these parts, asked by one auditor. */
export class ReplayCaller {
  readonly #fetch: (request: Request) => Promise<Response>

  constructor(parts: Parts, who: Partial<Replayer> = {}, clock: Clock = systemClock) {
    const app = replayApp({
      ...parts,
      nodeId: 'n1',
      log: quietLog,
      clock,
      authorize: () =>
        Promise.resolve({ userId: 'auditor', tenantId: 'default', roles: ['auditor'], ...who }),
    })
    this.#fetch = (request) => app.fetch(request)
  }

  ask(path: string, headers: Record<string, string> = {}, signal?: AbortSignal): Promise<Response> {
    const init = signal === undefined ? { headers } : { headers, signal }
    return this.#fetch(new Request(`http://h/api/replay/${path}`, init))
  }

  async json(path: string): Promise<Body & { status: number }> {
    const response = await this.ask(path)
    return { ...((await response.json()) as Body), status: response.status }
  }

  async lines(path: string): Promise<Record<string, unknown>[]> {
    const response = await this.ask(path, { accept: 'application/x-ndjson' })
    const text = await response.text()
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
  }

  async frames(path: string, lastEventId?: string): Promise<Frame[]> {
    const response = await this.ask(path, {
      accept: 'text/event-stream',
      ...(lastEventId !== undefined && { 'last-event-id': lastEventId }),
    })
    return framesOf(await response.text())
  }
}

export function framesOf(text: string): Frame[] {
  return text
    .split('\n\n')
    .map((block) => block.split('\n'))
    .filter((lines) => lines.some((line) => line.startsWith('data: ')))
    .map((lines) => {
      const field = (name: string) =>
        lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2) ?? null
      return {
        event: field('event') ?? 'message',
        id: field('id'),
        data: JSON.parse(field('data') ?? 'null') as Record<string, unknown>,
      }
    })
}

/** What the audit has of replays, oldest first. */
export function replaysOf(parts: Parts, replayer = 'auditor') {
  return parts.database.db.execute<{
    event_type: string
    source: string
    session_id: string | null
    event_data: Record<string, unknown>
  }>(sql`
    select event_type, source, session_id, event_data from audit_logs
    where source = 'replay' and user_id = ${replayer} order by "timestamp", event_id`)
}
