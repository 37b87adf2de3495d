import type { Routes } from './routes.ts'

export interface Group<T> {
  shard: number
  items: { item: T; base: string }[]
}

/**
 * What one script call may carry: items of one server, or in a cluster of one shard, at most `max`. An item without a
 * shard is left out.
 */
export function groupsOf<T>(
  routes: Routes,
  items: readonly T[],
  max: number,
  shardOf: (item: T) => number | null,
): Group<T>[] {
  const groups: Group<T>[] = []
  const open = new Map<unknown, Group<T>>()
  for (const item of items) {
    const shard = shardOf(item)
    if (shard === null) continue
    const place = routes.isCluster ? shard : routes.of(shard)
    let group = open.get(place)
    if (group === undefined || group.items.length >= max) {
      group = { shard, items: [] }
      open.set(place, group)
      groups.push(group)
    }
    group.items.push({ item, base: routes.base(shard) })
  }
  return groups
}
