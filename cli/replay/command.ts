import { type ExitCode, type Terminal, UsageError } from '../usage.ts'
import { type Deliver, toHandler, toWebhook } from './deliver.ts'
import { type ReplayOptions, replayOptions, usage } from './options.ts'
import { type Call, type End, ReplayFailed, replayJson, replayStream } from './stream.ts'
import { Timeline } from './timeline.ts'

export interface CommandInput {
  args: string[]
  token: string | null
  /** The server that is asked when the command line names none. */
  urlDefault: string
  /** Where relative paths begin. */
  folder: string
  terminal: Terminal
  signal: AbortSignal
}

/** `bun run replay …`. Never rejects. */
export async function replayCommand(input: CommandInput): Promise<ExitCode> {
  const { args, terminal, urlDefault } = input
  try {
    const options = replayOptions(args, urlDefault)
    if (options === null) {
      terminal.out(usage)
      return 0
    }
    await run(options, input)
    return 0
  } catch (error) {
    const isUsage = error instanceof UsageError || (error instanceof ReplayFailed && error.isUsage)
    terminal.err(`${error instanceof Error ? error.message : error}\n`)
    if (error instanceof UsageError) terminal.err('See bun run replay --help\n')
    return isUsage ? 2 : 1
  }
}

async function run(options: ReplayOptions, input: CommandInput): Promise<void> {
  const { token, folder, signal, terminal } = input
  const { url, path, cursor, handlerPath, webhookUrl, isJson } = options
  const call: Call = { url, path, cursor, token }
  const deliver =
    handlerPath !== null
      ? await toHandler(handlerPath, folder)
      : webhookUrl !== null
        ? toWebhook(webhookUrl, signal)
        : null
  if (deliver !== null) {
    const end = await handOver(call, deliver, input)
    if (isJson) terminal.out(`${JSON.stringify(end)}\n`)
  } else if (isJson) {
    terminal.out(`${await replayJson(call, signal)}\n`)
  } else {
    await show(call, input)
  }
}

async function show(call: Call, { terminal, signal }: CommandInput): Promise<void> {
  const timeline = new Timeline()
  for await (const arrival of replayStream(call, signal)) {
    if (arrival.is === 'event') {
      terminal.out(
        terminal.isTty ? timeline.line(arrival.event) : `${JSON.stringify(arrival.event)}\n`,
      )
    } else if (terminal.isTty) {
      terminal.out(timeline.end(arrival.end, arrival.end.missing))
    } else {
      terminal.out(`${JSON.stringify({ _replayEnd: arrival.end })}\n`)
    }
  }
}

const progressEveryMs = 100

async function handOver(
  call: Call,
  deliver: Deliver,
  { terminal, signal }: CommandInput,
): Promise<End> {
  let count = 0
  let shownMs = 0
  let { cursor } = call
  const progress = (text: string) => terminal.isErrTty && terminal.err(`\r\x1b[2K${text}`)
  try {
    for await (const arrival of replayStream(call, signal)) {
      if (arrival.is === 'end') {
        progress('')
        terminal.err(`${count} events handed over\n`)
        return { ...arrival.end, count }
      }
      signal.throwIfAborted()
      await deliver(arrival.event, arrival.cursor)
      count += 1
      cursor = arrival.cursor
      if (performance.now() - shownMs < progressEveryMs) continue
      shownMs = performance.now()
      progress(`${count} events handed over, at ${cursor}`)
    }
    throw new ReplayFailed('the server broke off')
  } catch (error) {
    progress('')
    const where = cursor === null ? 'at the first event' : `go on with --cursor ${cursor}`
    terminal.err(`stopped after ${count} events: ${where}\n`)
    throw error
  }
}
