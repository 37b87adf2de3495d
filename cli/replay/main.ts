import { untilSignal } from '#runtime/shutdown.ts'
import { replayCommand } from './command.ts'

process.exitCode = await replayCommand({
  args: process.argv.slice(2),
  token: process.env['SLUICE_TOKEN'] || null,
  folder: process.cwd(),
  signal: untilSignal(),
  terminal: {
    out: (text) => process.stdout.write(text),
    err: (text) => process.stderr.write(text),
    isTty: process.stdout.isTTY === true,
    isErrTty: process.stderr.isTTY === true,
  },
})
