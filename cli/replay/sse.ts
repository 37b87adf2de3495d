export interface SseEvent {
  event: string
  /** The last id that was told. */
  id: string
  data: string
}

/** Reads `text/event-stream` as our server writes it (LF, one `data` line), cut anywhere. */
export async function* sseEvents(body: AsyncIterable<Uint8Array>): AsyncGenerator<SseEvent> {
  const decoder = new TextDecoder()
  let rest = ''
  let id = ''
  for await (const bytes of body) {
    const blocks = (rest + decoder.decode(bytes, { stream: true })).split('\n\n')
    rest = blocks.pop() ?? ''
    for (const block of blocks) {
      const fields = new Map(block.split('\n').map(fieldOf))
      id = fields.get('id') ?? id
      const data = fields.get('data')
      if (data !== undefined) yield { event: fields.get('event') ?? 'message', id, data }
    }
  }
}

function fieldOf(line: string): [name: string, value: string] {
  const at = line.indexOf(': ')
  return at === -1 ? [line, ''] : [line.slice(0, at), line.slice(at + 2)]
}
