interface Target {
  addEventListener?: (type: string, listener: () => void) => void
  removeEventListener?: (type: string, listener: () => void) => void
}

/** Whether the runtime says that there is no network. Only a hint: a server on this machine may be in reach. */
export function isOffline(): boolean {
  const navigator = (globalThis as { navigator?: { onLine?: boolean } }).navigator
  return navigator?.onLine === false
}

/** Calls back when the network came or went, or the page is looked at again; does nothing outside of a page. */
export function onWakeUp(listener: () => void): () => void {
  const scope = globalThis as Target & { document?: Target & { visibilityState?: string } }
  const { document } = scope
  if (document === undefined) return () => undefined
  const seen = () => {
    if (document.visibilityState === 'visible') listener()
  }
  scope.addEventListener?.('online', listener)
  scope.addEventListener?.('offline', listener)
  // Back from the page cache: its sockets are gone.
  scope.addEventListener?.('pageshow', listener)
  document.addEventListener?.('visibilitychange', seen)
  return () => {
    scope.removeEventListener?.('online', listener)
    scope.removeEventListener?.('offline', listener)
    scope.removeEventListener?.('pageshow', listener)
    document.removeEventListener?.('visibilitychange', seen)
  }
}
