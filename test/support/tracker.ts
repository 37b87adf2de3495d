/** What tests have open now. Opened outside a test (`beforeAll`), it may live as long as its file. */
interface Open {
  what: string
  scope: 'test' | 'file'
}

const open = new Set<Open>()
const cleanups: { scope: Open['scope']; run: () => Promise<void> | void }[] = []
let insideTest = false

/** Says that a server, child or worker is open; call the answer once it is closed. */
export function opened(what: string): () => void {
  const entry: Open = { what, scope: insideTest ? 'test' : 'file' }
  open.add(entry)
  return () => {
    open.delete(entry)
  }
}

/** Runs when the test (or, outside a test, the file) is over, after the hooks of the test itself. */
export function atEnd(run: () => Promise<void> | void): void {
  cleanups.push({ scope: insideTest ? 'test' : 'file', run })
}

/** Runs when the file is over, also when called inside a test. */
export function atFileEnd(run: () => Promise<void> | void): void {
  cleanups.push({ scope: 'file', run })
}

/** What is opened at once in here lives as long as the file, also inside a test. */
export function lasting<T>(open: () => T): T {
  const wasInside = insideTest
  insideTest = false
  try {
    return open()
  } finally {
    insideTest = wasInside
  }
}

export function testBegins(): void {
  insideTest = true
}

/** Cleans up, then names what is still open; nothing is reported twice. */
export async function scopeEnds(scope: Open['scope']): Promise<string[]> {
  if (scope === 'test') insideTest = false
  for (const cleanup of cleanups.filter((entry) => entry.scope === scope).reverse()) {
    cleanups.splice(cleanups.indexOf(cleanup), 1)
    await cleanup.run()
  }
  const left = [...open].filter((entry) => entry.scope === scope)
  for (const entry of left) open.delete(entry)
  return left.map((entry) => entry.what)
}
