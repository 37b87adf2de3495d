interface RunOptions {
  cwd?: string
  env?: Record<string, string | undefined>
  timeoutMs?: number
}

interface Ran {
  code: number
  output: string
}

/** Runs a command to its end, or kills it when the time is over. */
export async function tryRun(command: string[], options: RunOptions = {}): Promise<Ran> {
  const { cwd, env, timeoutMs = 900_000 } = options
  const child = Bun.spawn(command, {
    ...(cwd !== undefined && { cwd }),
    ...(env !== undefined && { env }),
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  })
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ])
  return { code, output: `${out}${err}` }
}

/** As `tryRun`; throws with the end of what the command said when it fails. */
export async function run(command: string[], options: RunOptions = {}): Promise<string> {
  const { code, output } = await tryRun(command, options)
  if (code === 0) return output
  const end = output.trimEnd().split('\n').slice(-30).join('\n')
  throw new Error(`${command.join(' ')} ended with ${code}:\n${end}`)
}
