import { type RedisServer, redisClient, startRedis } from './redis.ts'
import { until } from './until.ts'

export interface RedisCluster {
  nodes: readonly RedisServer[]
  /** Moves a range of slots, with the keys in them, from one node to another. */
  move(slots: { from: number; to: number }, source: number, target: number): Promise<void>
}

const slots = 16_384

/** A cluster of masters, each with its share of the slots. */
export async function startCluster(count = 3): Promise<RedisCluster> {
  const flags = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '2000']
  const nodes: RedisServer[] = []
  for (let index = 0; index < count; index += 1) nodes.push(await startRedis(flags))
  const clients = await Promise.all(nodes.map(({ url }) => redisClient(url)))
  await Promise.all(
    clients.map(async (client, index) => {
      const start = Math.ceil((index * slots) / count)
      const end = Math.ceil(((index + 1) * slots) / count) - 1
      await client.clusterAddSlotsRange({ start, end })
    }),
  )
  const [first] = clients
  for (const { port } of nodes.slice(1)) await first?.clusterMeet('127.0.0.1', port)
  await until(
    async () => {
      const infos = await Promise.all(clients.map((client) => client.clusterInfo()))
      return infos.every(
        (info) =>
          info.includes('cluster_state:ok') && info.includes(`cluster_known_nodes:${count}`),
      )
    },
    { timeoutMs: 15_000, everyMs: 50, what: 'the cluster is whole' },
  )
  const ids = await Promise.all(clients.map((client) => client.clusterMyId()))

  return {
    nodes,
    async move({ from, to }, source, target) {
      const [giver, taker] = [clients[source], clients[target]]
      const [giverId, takerId] = [ids[source] ?? '', ids[target] ?? '']
      if (giver === undefined || taker === undefined) throw new Error('no such node')
      for (let slot = from; slot <= to; slot += 1) {
        await taker.clusterSetSlot(slot, 'IMPORTING', giverId)
        await giver.clusterSetSlot(slot, 'MIGRATING', takerId)
        for (;;) {
          const keys = await giver.clusterGetKeysInSlot(slot, 100)
          if (keys.length === 0) break
          await giver.migrate('127.0.0.1', nodes[target]?.port ?? 0, keys, 0, 2_000)
        }
        await taker.clusterSetSlot(slot, 'NODE', takerId)
        await giver.clusterSetSlot(slot, 'NODE', takerId)
      }
    },
  }
}
