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

/**
 * Runs what a process is for; answers its exit code. What it fails with goes to standard error, a line for each problem.
 * Once `signal` has aborted, the process ends after `withinMs`, whatever hangs then.
 */
export async function runProcess(
  run: () => Promise<void>,
  { signal, withinMs }: { signal: AbortSignal; withinMs: number },
): Promise<0 | 1> {
  void aborted(signal).then(() => setTimeout(() => process.exit(0), withinMs).unref())
  try {
    await run()
    return 0
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    return 1
  }
}
