const dayMs = 86_400_000

/** The heading under which a chat stands in the list. */
export function periodOf(iso: string, now: Date): string {
  const then = new Date(iso)
  const midnight = new Date(now.getFullYear(), now.getMonth(), now.getDate()).getTime()
  const days = Math.ceil((midnight - then.getTime()) / dayMs)
  if (days <= 0) return 'Today'
  if (days === 1) return 'Yesterday'
  if (days <= 7) return 'Last 7 days'
  if (days <= 30) return 'Last 30 days'
  return then.toLocaleDateString(undefined, { month: 'long', year: 'numeric' })
}

/** Short, for a search result. */
export function shortDate(iso: string, now: Date): string {
  const then = new Date(iso)
  if (periodOf(iso, now) === 'Today') {
    return then.toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' })
  }
  const isThisYear = then.getFullYear() === now.getFullYear()
  return then.toLocaleDateString(undefined, {
    day: 'numeric',
    month: 'short',
    ...(!isThisYear && { year: 'numeric' }),
  })
}
