const special = /[\\\t\n\r]/
const specials = /[\\\t\n\r]/g
const escapes: Record<string, string> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' }

/** Columns as a line of COPY's text format. */
export function copyLine(values: readonly (string | number | null)[]): string {
  let line = ''
  let separator = ''
  for (const value of values) {
    if (value === null) line += `${separator}\\N`
    else if (typeof value === 'number' || !special.test(value)) line += separator + value
    else line += separator + value.replace(specials, (found) => escapes[found] ?? found)
    separator = '\t'
  }
  return `${line}\n`
}
