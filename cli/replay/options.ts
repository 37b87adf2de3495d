import { parseArgs } from 'node:util'
import { UsageError } from '../usage.ts'

export const usage = `Usage: bun run replay session <sessionId>
       bun run replay topic <topic> [--from <time>] [--to <time>]
       bun run replay partition <topic> <partition> [--from <offset>] [--to <offset>]

Gives again what the event log has, from a server that runs. Draws a timeline on a terminal, else one JSON object a line.

  --from, --to <…>      of a topic: ISO 8601 or like -1h; of a partition: offsets; from inclusive, to exclusive
  --event-type <type>   of a topic: only these
  --session <id>, --user <id>
  --limit <n>           at most so many events
  --speed <x>           1 the original pace, 10 ten times as fast, 0 (default) as fast as it goes
  --cursor <cursor>     go on behind this event (a run that stops says the one to go on from)
  --to <file.ts>        hand each event, in order, to the file's default export (event, { cursor })
  --to-webhook <url>    POST each event, in order, with an Idempotency-Key
  --json                print the answer as one JSON value
  --url <url>           of the server; default http://127.0.0.1:8080, with KAFKA_BROKERS set (consumer:replay) :8090
  --help

The token comes from SLUICE_TOKEN. Exit code: 0 done, 1 failed, 2 usage.
`

export interface ReplayOptions {
  /** Path and query of the call. */
  path: string
  url: string
  cursor: string | null
  isJson: boolean
  handlerPath: string | null
  webhookUrl: string | null
}

// Both bounds and files are told by --to; no time and no offset looks like this.
const filePath = /^(\.{0,2}\/|file:)|\.[mc]?[jt]s$/

/** The command line as a call, by default to `urlDefault`; null: help is wanted. Throws `UsageError`. */
export function replayOptions(args: string[], urlDefault: string): ReplayOptions | null {
  const { values, positionals } = parsed(args)
  if (values.help === true) return null
  const tos = (values.to ?? []).map((to) => ({ to, isFile: filePath.test(to) }))
  const files = tos.filter(({ isFile }) => isFile).map(({ to }) => to)
  const bounds = tos.filter(({ isFile }) => !isFile).map(({ to }) => to)
  if (bounds.length > 1) throw new UsageError('--to is given twice')
  const webhook = values['to-webhook'] ?? null
  if (files.length + (webhook === null ? 0 : 1) > 1) {
    throw new UsageError('one of --to <file> and --to-webhook, once')
  }
  const query = new URLSearchParams()
  const set = (name: string, value: string | undefined) =>
    value !== undefined && query.set(name, value)
  const isTopic = positionals[0] === 'topic'
  const isSession = positionals[0] === 'session'
  if (isSession) refuse({ '--from': values.from, '--to': bounds[0] }, 'replay session')
  if (!isTopic) {
    const { 'event-type': eventType, session, user } = values
    refuse(
      { '--event-type': eventType, '--session': session, '--user': user },
      `replay ${positionals[0]}`,
    )
  }
  set('from', values.from)
  set('to', bounds[0])
  set('eventType', values['event-type'])
  set('sessionId', values.session)
  set('userId', values.user)
  set('limit', values.limit)
  if (values.json !== true) set('speed', values.speed)
  const search = query.size === 0 ? '' : `?${query}`
  return {
    path: `${pathOf(positionals)}${search}`,
    url: webUrl(values.url ?? urlDefault, '--url'),
    cursor: values.cursor ?? null,
    isJson: values.json === true,
    handlerPath: files[0] ?? null,
    webhookUrl: webhook === null ? null : webUrl(webhook, '--to-webhook'),
  }
}

function parsed(args: string[]) {
  const string = { type: 'string' } as const
  try {
    return parseArgs({
      // A time like -1h would be taken for an option.
      args: args.flatMap((arg, at) =>
        isBound(args[at + 1], arg)
          ? []
          : isBound(arg, args[at - 1])
            ? [`${args[at - 1]}=${arg}`]
            : [arg],
      ),
      allowPositionals: true,
      options: {
        from: string,
        to: { type: 'string', multiple: true },
        'event-type': string,
        session: string,
        user: string,
        limit: string,
        speed: string,
        cursor: string,
        'to-webhook': string,
        json: { type: 'boolean' },
        url: string,
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause), { cause })
  }
}

function isBound(value: string | undefined, option: string | undefined): boolean {
  return (option === '--from' || option === '--to') && /^-\d/.test(value ?? '')
}

function pathOf([of, first, second, ...rest]: string[]): string {
  const isWhole = first !== undefined && rest.length === 0
  if (of === 'session' && isWhole && second === undefined) {
    return `/api/replay/sessions/${encodeURIComponent(first)}`
  }
  if (of === 'topic' && isWhole && second === undefined) {
    return `/api/replay/topics/${encodeURIComponent(first)}`
  }
  if (of === 'partition' && isWhole && second !== undefined) {
    return `/api/replay/topics/${encodeURIComponent(first)}/partitions/${encodeURIComponent(second)}`
  }
  throw new UsageError(
    'what to replay: session <id>, topic <topic> or partition <topic> <partition>',
  )
}

function refuse(options: Record<string, string | undefined>, of: string): void {
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined) throw new UsageError(`${name} is not for ${of}`)
  }
}

function webUrl(text: string, option: string): string {
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return text
  throw new UsageError(`${option} must be an http or https URL`)
}
