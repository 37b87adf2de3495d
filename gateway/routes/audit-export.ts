/** One line of an export, with its line end. */
export interface ExportFormat<Row> {
  contentType: string
  head: string
  line(row: Row): string
}

export function ndjson<Row>(): ExportFormat<Row> {
  return {
    contentType: 'application/x-ndjson; charset=utf-8',
    head: '',
    line: (row) => `${JSON.stringify(row)}\n`,
  }
}

/** RFC 4180: CRLF, quotes doubled, a head line. What is no text or number stands there as JSON. */
export function csv<Row extends object>(
  columns: readonly (keyof Row & string)[],
): ExportFormat<Row> {
  return {
    contentType: 'text/csv; charset=utf-8; header=present',
    head: `${columns.join(',')}\r\n`,
    line: (row) => `${columns.map((column) => csvField(row[column])).join(',')}\r\n`,
  }
}

function csvField(value: unknown): string {
  if (value === null || value === undefined) return ''
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

/**
 * Streams pages one after the other, each read when the reader has taken the one before. A failure cuts the answer
 * off, so that a part can't be taken for the whole.
 */
export function exportStream<Row>(
  pages: AsyncIterable<readonly Row[]>,
  format: ExportFormat<Row>,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  const iterator = pages[Symbol.asyncIterator]()
  let head = format.head
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        // A pull that adds nothing is not called again.
        for (;;) {
          const page = await iterator.next()
          const text = head + (page.done ? '' : page.value.map(format.line).join(''))
          head = ''
          if (text !== '') controller.enqueue(encoder.encode(text))
          if (page.done) controller.close()
          if (page.done || text !== '') return
        }
      },
      async cancel() {
        await iterator.return?.()
      },
    },
    { highWaterMark: 0 },
  )
}
