import { Transcript } from '#client/transcript.ts'
import { SseClient } from './sse-client.ts'
import { until } from './until.ts'
import { WsClient } from './ws-client.ts'

type Link = WsClient | SseClient

/** A client of one session that checks each frame against the cursor rules, over any number of connections. */
export class Reader {
  readonly transcript = new Transcript()
  link: Link | null = null
  readonly #url: string
  readonly #sessionId: string
  readonly #transport: 'websocket' | 'sse'
  #read = 0

  constructor(url: string, sessionId: string, transport: 'websocket' | 'sse') {
    this.#url = url
    this.#sessionId = sessionId
    this.#transport = transport
  }

  /** Connects with its cursor; a former connection is cut. `url`: of another node. */
  connect(url = this.#url): void {
    this.cut()
    const { cursor } = this.transcript
    const options = { sessionId: this.#sessionId }
    this.#read = 0
    this.link =
      this.#transport === 'websocket'
        ? new WsClient(url, { ...options, ...(cursor !== null && { cursor }) })
        : new SseClient(url, { ...options, ...(cursor !== null && { lastEventId: cursor }) })
  }

  cut(): void {
    this.read()
    this.link?.cut()
    this.link = null
  }

  /** Takes in what has come; throws on a gap. */
  read(): void {
    const frames = this.link?.frames ?? []
    for (; this.#read < frames.length; this.#read += 1) {
      const frame = frames[this.#read]
      if (frame !== undefined && this.transcript.apply(frame) === 'gap') {
        throw new Error(`a gap at ${JSON.stringify(frame)}`)
      }
    }
  }

  async until(condition: (reader: Reader) => boolean, what: string): Promise<void> {
    await until(
      () => {
        this.read()
        return condition(this)
      },
      { what },
    )
  }

  text(messageId: string): string {
    return this.transcript.find(messageId)?.content ?? ''
  }

  async done(messageId: string): Promise<void> {
    await this.until(
      ({ transcript }) => typeof transcript.find(messageId)?.outcome === 'string',
      'the answer is done',
    )
  }
}

export function sha256(text: string): string {
  return new Bun.CryptoHasher('sha256').update(text).digest('hex')
}
