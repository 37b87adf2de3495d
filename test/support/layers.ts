import { dirname, join, normalize, relative } from 'node:path'

/** The folders whose imports are ruled, and what of ours each may import. Tests and benches may import all. */
const allowed: Record<string, readonly string[]> = {
  events: [],
  runtime: [],
  client: [],
  eventlog: ['events', 'runtime'],
  db: ['events', 'runtime'],
  consumers: ['events', 'eventlog', 'db', 'runtime'],
  gateway: ['events', 'eventlog', 'db', 'runtime', 'client'],
  cli: ['events', 'eventlog', 'db', 'runtime', 'consumers', 'client'],
}

/** Packages that only their owners may import: prefix of the package, prefixes of the files. */
const owners: readonly [name: string, files: readonly string[]][] = [
  ['@confluentinc/', ['eventlog/kafka/']],
  ['bun:sqlite', ['eventlog/sqlite/', 'gateway/generations/sqlite/']],
  ['drizzle-orm', ['db/']],
  ['postgres', ['db/']],
  ['@electric-sql/', ['db/']],
  ['redis', ['gateway/generations/redis/']],
  [
    'hono',
    ['gateway/app.ts', 'gateway/serve.ts', 'gateway/auth/', 'gateway/routes/', 'consumers/replay/'],
  ],
  ['openai', ['gateway/models/']],
  ['dompurify', ['gateway/web/']],
  ['marked', ['gateway/web/']],
  ['nodemailer', ['consumers/notify/']],
]

/** Files that may import one layer more: each wires a process of parts that don't know each other. */
const bridges: Readonly<Record<string, string>> = {
  'gateway/embedded/back-office.ts': 'consumers',
  // What relays put aside is in the hot state.
  'cli/dlq/main.ts': 'gateway',
}

const imported =
  /(?:^|\n)\s*(?:import|export)\b[^'"`;]*?['"]([^'"\n]+)['"]|\bimport\(\s*['"]([^'"\n]+)['"]/g

/** What a source file imports, as written. */
export function importsOf(source: string): string[] {
  return [...source.matchAll(imported)].map((match) => match[1] ?? match[2] ?? '')
}

/** The rules that the file breaks, each as a sentence. `path` is relative to the repository. */
export function violationsOf(path: string, source: string): string[] {
  return importsOf(source).flatMap((specifier) => {
    const target = targetOf(path, specifier)
    const broken = target === null ? ownerRule(path, specifier) : layerRule(path, target, specifier)
    return broken === null ? [] : [`${path}: ${broken}`]
  })
}

/** The file of ours that is meant, relative to the repository; null for a package. */
function targetOf(path: string, specifier: string): string | null {
  if (specifier.startsWith('#')) return normalize(specifier.slice(1))
  if (specifier.startsWith('.')) return relative('.', join(dirname(path), specifier))
  return null
}

function layerRule(path: string, target: string, specifier: string): string | null {
  const from = unitOf(path)
  const to = unitOf(target)
  const rules = allowed[from]
  if (rules === undefined) return null
  if (to === from) {
    if (from === 'consumers') return betweenConsumers(path, target)
    return specifier.startsWith('#') ? `imports ${specifier} of its own unit by #` : null
  }
  if (bridges[path] === to) return null
  if (!rules.includes(to)) return `${from} must not import ${to} (${specifier})`
  return specifier.startsWith('#')
    ? null
    : `imports ${specifier} of another unit by a relative path`
}

function betweenConsumers(path: string, target: string): string | null {
  const from = path.split('/')
  const to = target.split('/')
  const isOfOther = to.length > 2 && to[1] !== from[1]
  return isOfOther && from.length > 2 ? `imports ${target} of another consumer` : null
}

function ownerRule(path: string, specifier: string): string | null {
  if (allowed[unitOf(path)] === undefined) return null
  for (const [name, files] of owners) {
    const isIt = name.endsWith('/')
      ? specifier.startsWith(name)
      : specifier === name || specifier.startsWith(`${name}/`)
    if (isIt && !files.some((prefix) => path.startsWith(prefix))) {
      return `only ${files.join(', ')} may import ${specifier}`
    }
  }
  return null
}

function unitOf(path: string): string {
  return path.split('/')[0] ?? ''
}
