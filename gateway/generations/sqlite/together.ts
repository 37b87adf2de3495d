/**
 * Calls of one turn of the event loop as one call, for a transaction costs more than what most of them do in it. Rejects all
 * of them when it throws.
 */
export function together<Input, Output>(
  run: (inputs: readonly Input[]) => Output[],
): (input: Input) => Promise<Output> {
  let waiting: { input: Input; resolve(output: Output): void; reject(error: unknown): void }[] = []

  function flush(): void {
    const calls = waiting
    waiting = []
    try {
      const outputs = run(calls.map(({ input }) => input))
      for (const [index, { resolve }] of calls.entries()) resolve(outputs[index] as Output)
    } catch (error) {
      for (const { reject } of calls) reject(error)
    }
  }

  return (input) =>
    new Promise((resolve, reject) => {
      if (waiting.push({ input, resolve, reject }) === 1) setImmediate(flush)
    })
}
