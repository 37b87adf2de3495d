import { parseArgs } from 'node:util'
import { partitionsDefault } from '#events/topics.ts'
import { runCommand, tableOf } from '../command.ts'
import { type ExitCode, type Terminal, UsageError } from '../usage.ts'
import { makeTopics, type TopicMaker } from './topics.ts'

const partitionsMax = 64

const usage = `Usage: bun run topics [--partitions N] [--json]

Makes the topics of Sluice in the Kafka of KAFKA_BROKERS. One that is there stays as it is, with its partitions.

  --partitions N   a power of two up to ${partitionsMax}; ${partitionsDefault} by default
  --json           print one array
  --help

Exit code: 0 done, 1 failed, 2 usage.
`

/** Kafka, for a command to make topics in; disposing closes it. */
export interface OpenKafka extends AsyncDisposable {
  kafka: TopicMaker
}

export interface TopicsInput {
  args: string[]
  /** Opened only when it is needed. */
  open(): OpenKafka
  terminal: Terminal
}

/** `bun run topics`. Never rejects. */
export function topicsCommand({ args, open, terminal }: TopicsInput): Promise<ExitCode> {
  return runCommand('topics', terminal, async () => {
    const { isHelp, isJson, partitions } = optionsOf(args)
    if (isHelp) {
      terminal.out(usage)
      return
    }
    await using opened = open()
    const made = await makeTopics(opened.kafka, partitions)
    if (isJson) terminal.out(`${JSON.stringify(made)}\n`)
    else terminal.out(tableOf(made.map((topic) => ({ ...topic, made: topic.made ? 'yes' : 'no' }))))
    for (const topic of made) {
      if (topic.made || topic.partitions === partitions) continue
      terminal.err(`${topic.topic} has ${topic.partitions} partitions and keeps them\n`)
    }
  })
}

function optionsOf(args: string[]): { isHelp: boolean; isJson: boolean; partitions: number } {
  const { json, help, partitions } = valuesOf(args)
  const count = partitions === undefined ? partitionsDefault : Number(partitions)
  const isPower = Number.isInteger(count) && count >= 1 && (count & (count - 1)) === 0
  if (!isPower || count > partitionsMax || !/^\d+$/.test(partitions ?? '1')) {
    throw new UsageError(`--partitions: must be a power of two up to ${partitionsMax}`)
  }
  return { isHelp: help === true, isJson: json === true, partitions: count }
}

function valuesOf(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        partitions: { type: 'string' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause), { cause })
  }
}
