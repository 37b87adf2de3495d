import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { UsageError } from '#consumers/arguments.ts'
import { type ConsumerDefinition, defineConsumer } from '#consumers/define.ts'

/** The consumer that a file exports by default. Throws a `UsageError` that says what is wrong with it. */
export async function loadConsumer(path: string, folder: string): Promise<ConsumerDefinition> {
  const full = resolve(folder, path)
  if (!existsSync(full)) throw new UsageError(`there is no file ${path}`)
  let module: Record<string, unknown>
  try {
    module = (await import(pathToFileURL(full).href)) as Record<string, unknown>
  } catch (cause) {
    const said = cause instanceof Error ? cause.message : String(cause)
    throw new UsageError(`${path} cannot be loaded: ${said}`, { cause })
  }
  const definition = module['default']
  if (typeof definition !== 'object' || definition === null) {
    throw new UsageError(`${path} must have "export default defineConsumer({ … })"`)
  }
  try {
    return defineConsumer(definition as ConsumerDefinition)
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause
    throw new UsageError(`${path}: ${cause.message}`, { cause })
  }
}
