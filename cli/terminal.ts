import type { Terminal } from './usage.ts'

/** This process's own output. */
export function processTerminal(): Terminal {
  return {
    out: (text) => process.stdout.write(text),
    err: (text) => process.stderr.write(text),
    isTty: process.stdout.isTTY === true,
    isErrTty: process.stderr.isTTY === true,
  }
}
