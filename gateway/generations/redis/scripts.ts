import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'

const names = [
  'append',
  'backlog',
  'begin',
  'chunks',
  'claim',
  'epoch',
  'erase',
  'find',
  'finish',
  'hold',
  'lapsed',
  'open',
  'read',
  'refuse',
  'relayed',
  'relays',
  'release',
  'renew',
  'restore',
  'snapshot',
  'status',
  'tell',
  'touch',
  'untold',
  'waiting',
] as const

/** Run without the prelude: it would be most of their work. */
const alone: ReadonlySet<string> = new Set(['backlog', 'chunks'])

export type ScriptName = (typeof names)[number]

export interface Script {
  text: string
  sha1: string
}

export type Scripts = Readonly<Record<ScriptName, Script>>

/** The scripts of `lua/`, each behind what they have in common. */
export function loadScripts(): Scripts {
  const folder = new URL('./lua/', import.meta.url)
  const textOf = (name: string) => readFileSync(new URL(`${name}.lua`, folder), 'utf8')
  const prelude = textOf('prelude')
  const loaded = names.map((name) => {
    const text = alone.has(name) ? textOf(name) : `${prelude}\n${textOf(name)}`
    return [name, { text, sha1: createHash('sha1').update(text).digest('hex') }] as const
  })
  return Object.fromEntries(loaded) as Record<ScriptName, Script>
}
