import { randomToken } from '#runtime/ids.ts'
import type { Generations } from '../generations.ts'
import { Attendance } from './attendance.ts'
import type { Backlog } from './backlog.ts'
import { Condition } from './condition.ts'
import { Ears } from './ears.ts'
import type { Hot, RedisOptions } from './hot.ts'
import { renewing } from './life.ts'
import { Owned } from './owned.ts'
import { Routes } from './routes.ts'
import { Said } from './said.ts'
import type { Server } from './server.ts'
import { shardOfSession } from './shards.ts'
import { appending } from './steps/append.ts'
import { beginning } from './steps/begin.ts'
import { claiming, finishing } from './steps/end.ts'
import { erasing } from './steps/erase.ts'
import { keeping } from './steps/keep.ts'
import { leasing } from './steps/leases.ts'
import { reading } from './steps/read.ts'
import { Telling } from './telling.ts'

const originLength = 8
/** A call is a hundred microseconds of this process, Redis and the kernel between them. */
const pace = { usualMs: 4, busyMs: 8 }

export interface RedisGenerations extends Generations {
  /** For what else is kept beside hot state. */
  routes: Routes
  /** What waits for a relay. */
  backlog: Backlog
}

/**
 * Hot state in Redis 7 or newer: one server, a list of them, or a cluster. Answers at once, whether Redis is there or
 * not; what is asked of it while it is out of reach rejects.
 */
export function redisGenerations(options: RedisOptions): RedisGenerations {
  const hot = createHot(options)
  const { routes, ears, condition } = hot
  const { begin, request } = beginning(hot)
  const keep = keeping(hot)
  const leases = leasing(hot)
  const telling = new Telling(routes)
  const attendance = new Attendance(routes)
  hot.onUp = () => {
    // Whatever an older copy of the leases says: their owner lives.
    const owned = hot.owned.all()
    if (owned.length > 0) leases.renew(owned).catch(() => undefined)
  }
  const keepMs = options.keepMs ?? Math.max(1_000, options.historyTtlMs / 8)
  let isTouching = false
  const timer = setInterval(() => {
    if (isTouching) return
    isTouching = true
    // What could not be kept now is kept the next time; there are several in a session's life.
    keep
      .touchWatched()
      .catch(() => undefined)
      .finally(() => {
        isTouching = false
      })
  }, keepMs)
  timer.unref()

  const steps = {
    open: keep.open,
    begin,
    append: appending(hot),
    claim: claiming(hot),
    finish: finishing(hot),
    erase: erasing(hot),
    ...reading(hot),
  }
  hot.onOtherLife = (server) => {
    const isThere = (sessionId: string) => routes.of(shardOfSession(sessionId)) === server
    void hot.said.again(steps, isThere)
  }

  return {
    ...steps,
    restore: keep.restore,
    session: keep.session,
    request,
    renew: leases.renew,
    lapsed: leases.lapsed,
    setStatus: keep.setStatus,
    watch: (sessionId, listener) => ears.watch(sessionId, listener),
    attend: (sessionId) => attendance.attend(sessionId),
    isAttended: (sessionId) => attendance.isAttended(sessionId),
    tell: (events) => telling.tell(events),
    pace,
    isCrowded: (sessionId) => condition.backlog.isCrowded(shardOfSession(sessionId)),
    routes,
    backlog: condition.backlog,
    health: async () => condition.health(),
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      await telling[Symbol.asyncDispose]()
      hot.said[Symbol.dispose]()
      condition[Symbol.dispose]()
      attendance[Symbol.dispose]()
      ears[Symbol.dispose]()
      routes[Symbol.dispose]()
    },
  }
}

interface Wired extends Hot {
  condition: Condition
  onUp: () => void
  onOtherLife: (server: Server) => void
}

function createHot(options: RedisOptions): Wired {
  const owned = new Owned()
  const origin = randomToken().slice(0, originLength)
  const { url, prefix, timeoutMs } = options
  const routes = new Routes({
    ...{ url, prefix, timeoutMs },
    onUp: (server) => {
      hot.onUp()
      condition.up(server)
    },
    onOtherLife: (server) => hot.onOtherLife(server),
    onMissed: (isOf) => ears.missed(isOf),
    onMessage: (channel, message) => ears.message(channel, message),
  })
  const ears = new Ears({
    origin,
    baseOf: (sessionId) => routes.base(shardOfSession(sessionId)),
    subscribe: (sessionId, channels) => routes.subscribe(shardOfSession(sessionId), channels),
    unsubscribe: (channel) => void routes.unsubscribe(channel),
    isOwned: (sessionId) => owned.has(sessionId),
    onClaimed: (messageId) => owned.delete(messageId),
  })
  owned.onChange = (sessionId) => ears.ownedChanged(sessionId)
  const condition = new Condition(routes, options)
  const { aheadMs } = options
  const base = {
    options,
    routes,
    ears,
    owned,
    origin,
    ahead: aheadMs === undefined ? () => '0' : () => `${aheadMs()}`,
    isMemoryFull: (shard: number) => condition.isMemoryFull(shard),
    condition,
    onUp: (): void => undefined,
    onOtherLife: (): void => undefined,
    said: new Said(options),
  }
  const hot: Wired = Object.assign(base, { renewLife: renewing(base) })
  return hot
}
