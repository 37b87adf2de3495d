import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'

const names = [
  'append',
  'begin',
  'chunks',
  'claim',
  'epoch',
  'erase',
  'find',
  'finish',
  'lapsed',
  'open',
  'read',
  'renew',
  'restore',
  'snapshot',
  'status',
  'tell',
  'touch',
  'untold',
] as const

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
    const text = name === 'chunks' ? textOf(name) : `${prelude}\n${textOf(name)}`
    return [name, { text, sha1: createHash('sha1').update(text).digest('hex') }] as const
  })
  return Object.fromEntries(loaded) as Record<ScriptName, Script>
}
