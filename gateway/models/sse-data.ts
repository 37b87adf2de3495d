export interface SseData {
  event: string
  data: string
}

/** Takes server-sent events apart; a comment or a field that isn't wanted is passed by. */
export class SseDataReader {
  readonly #decoder = new TextDecoder()
  #rest = ''
  #event = ''
  #data: string | null = null

  /** The events that these bytes complete. */
  push(bytes: Uint8Array): SseData[] {
    return this.#read(this.#decoder.decode(bytes, { stream: true }))
  }

  /** What stood without its blank line at the end; servers leave it out. */
  end(): SseData[] {
    return this.#read(`${this.#decoder.decode()}\n\n`)
  }

  /** Characters that are held until their line ends. */
  get held(): number {
    return this.#rest.length + (this.#data?.length ?? 0)
  }

  #read(text: string): SseData[] {
    const events: SseData[] = []
    const source = this.#rest + text
    let from = 0
    for (let at = source.indexOf('\n'); at !== -1; at = source.indexOf('\n', from)) {
      const end = source.charCodeAt(at - 1) === 13 && at > from ? at - 1 : at
      this.#line(source.slice(from, end), events)
      from = at + 1
    }
    this.#rest = source.slice(from)
    return events
  }

  #line(line: string, events: SseData[]): void {
    if (line === '') {
      if (this.#data !== null) events.push({ event: this.#event, data: this.#data })
      this.#event = ''
      this.#data = null
    } else if (line.startsWith('data:')) {
      const value = line.charCodeAt(5) === 32 ? line.slice(6) : line.slice(5)
      this.#data = this.#data === null ? value : `${this.#data}\n${value}`
    } else if (line.startsWith('event:')) this.#event = line.slice(6).trim()
  }
}
