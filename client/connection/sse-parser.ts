export interface SseEvent {
  event: string
  data: string
  /** The last id seen so far. */
  id: string
}

/** Reads `text/event-stream` as it arrives, cut anywhere; comments only show that the line lives. */
export class SseParser {
  readonly #onEvent: (event: SseEvent) => void
  readonly #onRetry: (ms: number) => void
  #rest = ''
  #isFirst = true
  #event = ''
  #data: string[] = []
  #id = ''

  constructor(onEvent: (event: SseEvent) => void, onRetry: (ms: number) => void) {
    this.#onEvent = onEvent
    this.#onRetry = onRetry
  }

  push(text: string): void {
    let buffer = this.#rest + text
    if (this.#isFirst && buffer !== '') {
      this.#isFirst = false
      if (buffer.startsWith('\uFEFF')) buffer = buffer.slice(1)
    }
    let start = 0
    // Looked for once and not per line: a stream without CR would be scanned to its end each time.
    let cr = buffer.indexOf('\r')
    for (;;) {
      if (cr !== -1 && cr < start) cr = buffer.indexOf('\r', start)
      const lf = buffer.indexOf('\n', start)
      const end = lf === -1 ? cr : cr === -1 ? lf : Math.min(lf, cr)
      if (end === -1) break
      // A CR at the very end may be half of CR LF: wait for what follows.
      if (buffer[end] === '\r' && end + 1 === buffer.length) break
      this.#line(buffer.slice(start, end))
      start = buffer.startsWith('\r\n', end) ? end + 2 : end + 1
    }
    this.#rest = buffer.slice(start)
  }

  #line(line: string): void {
    if (line === '') {
      this.#dispatch()
      return
    }
    const colon = line.indexOf(':')
    if (colon === 0) return
    const field = colon === -1 ? line : line.slice(0, colon)
    const raw = colon === -1 ? '' : line.slice(colon + 1)
    const value = raw.startsWith(' ') ? raw.slice(1) : raw
    if (field === 'data') this.#data.push(value)
    else if (field === 'event') this.#event = value
    else if (field === 'id' && !value.includes('\0')) this.#id = value
    else if (field === 'retry' && /^\d+$/.test(value)) this.#onRetry(Number(value))
  }

  #dispatch(): void {
    const data = this.#data
    const event = this.#event || 'message'
    this.#data = []
    this.#event = ''
    if (data.length > 0) this.#onEvent({ event, data: data.join('\n'), id: this.#id })
  }
}
