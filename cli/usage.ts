/** The command line is wrong: exit code 2. */
export class UsageError extends Error {
  override name = 'UsageError'
}

/** 0 done, 1 failed, 2 usage. */
export type ExitCode = 0 | 1 | 2

/** Where a command writes. */
export interface Terminal {
  out(text: string): void
  err(text: string): void
  /** Somebody watches what goes to `out`. */
  isTty: boolean
  /** Somebody watches what goes to `err`. */
  isErrTty: boolean
}

/** Text from elsewhere, without what a terminal would obey. */
export function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '\uFFFD')
}
