import { untilSignal } from '#runtime/shutdown.ts'
import { processTerminal } from '../terminal.ts'
import { replayCommand } from './command.ts'

process.exitCode = await replayCommand({
  args: process.argv.slice(2),
  // Of the real mode it is a process of its own that replays.
  urlDefault: `http://127.0.0.1:${process.env['KAFKA_BROKERS'] ? 8_090 : 8_080}`,
  token: process.env['SLUICE_TOKEN'] || null,
  folder: process.cwd(),
  signal: untilSignal(),
  terminal: processTerminal(),
})
