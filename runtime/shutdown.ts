// One Ctrl-C reaches us twice when a launcher forwards it: only a later one means "now".
const sameSignalMs = 1_000

/** Aborts at the first SIGTERM or SIGINT; a second one, a second later, ends the process at once. */
export function untilSignal(): AbortSignal {
  const controller = new AbortController()
  let firstAtMs = 0
  const onSignal = (signal: NodeJS.Signals) => {
    if (!controller.signal.aborted) {
      firstAtMs = performance.now()
      controller.abort(new Error(`stopped by ${signal}`))
    } else if (performance.now() - firstAtMs > sameSignalMs) {
      process.exit(signal === 'SIGINT' ? 130 : 143)
    }
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
  return controller.signal
}

/** Resolves once `signal` is aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
