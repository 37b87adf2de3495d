import { groupsOf } from '../groups.ts'
import { type Hot, settleMsOf } from '../hot.ts'
import { shardOfMessage } from '../shards.ts'

interface Lease {
  messageId: string
  token: string
  leaseMs: number
}

export interface Leases {
  renew(leases: Lease[]): Promise<boolean[]>
  lapsed(): Promise<string[]>
}

const renewsMax = 128

export function leasing(hot: Hot): Leases {
  const { routes, options, owned } = hot
  const settleMs = settleMsOf(options)

  async function renew(leases: Lease[]): Promise<boolean[]> {
    if (!routes.isKnown) await routes.known()
    const results = leases.map(() => false)
    const groups = groupsOf(routes, [...leases.entries()], renewsMax, ([, { messageId }]) =>
      shardOfMessage(messageId),
    )
    await Promise.all(
      groups.map(async ({ shard, items }) => {
        const args = [hot.ahead()]
        for (const { item, base } of items) {
          const [, { messageId, token, leaseMs }] = item
          args.push(base, messageId, token, `${leaseMs}`)
        }
        const reply = (await routes.run('renew', shard, args)) as number[]
        for (const [at, { item }] of items.entries()) {
          const [index, { messageId, token }] = item
          results[index] = reply[at] === 1
          if (reply[at] === 0 && owned.get(messageId)?.token === token) owned.delete(messageId)
        }
      }),
    )
    return results
  }

  async function lapsed(): Promise<string[]> {
    if (!routes.isKnown) await routes.known()
    const all = routes.bases.map((_, shard) => shard)
    // A server that has just come back may know older leases than their owners have.
    const settled = all.filter((shard) => routes.of(shard).upForMs >= settleMs)
    const groups = groupsOf(routes, settled, settled.length, (shard) => shard)
    const found = await Promise.allSettled(
      groups.map(async ({ shard, items }) => {
        const args = [hot.ahead(), ...items.map(({ base }) => base)]
        return (await routes.run('lapsed', shard, args)) as string[]
      }),
    )
    // Of several servers one may be away: answers on the others have an end nonetheless.
    const heard = found.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
    const failed = found.find((each) => each.status === 'rejected')
    if (heard.length === 0 && failed !== undefined) throw failed.reason
    return heard.flat()
  }

  return { renew, lapsed }
}
