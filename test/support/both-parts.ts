import { globSync, readFileSync } from 'node:fs'

const seams = /support\/(gateway|asks-node|deployed)\.ts'/

/**
 * The suites that run on either parts, embedded and real: those that get their nodes from `gateway.ts`, `asks-node.ts` or `deployed.ts`.
 * As `bun test` takes files.
 */
export function onBothParts(root: string): string[] {
  return globSync('test/{integration,browser}/*.test.ts', { cwd: root })
    .filter((file) => seams.test(readFileSync(`${root}/${file}`, 'utf8')))
    .sort()
    .map((file) => `./${file}`)
}

/** Whether a run that was given patterns, as `bun test` takes them, has the file in it. */
export function isWanted(file: string, patterns: readonly string[]): boolean {
  const names = patterns.filter((pattern) => !pattern.startsWith('-'))
  return names.length === 0 || names.some((name) => file.includes(name.replace(/^\.\//, '')))
}
