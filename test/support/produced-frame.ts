import { fileURLToPath } from 'node:url'
import { frameReader } from '#eventlog/kafka/frames.ts'

/** How the client's process reads records. */
export interface ProduceReader {
  id: number
  topic: string
  partition: number
  timestamp: number
  key: Uint8Array | null
  value: Uint8Array | null
  headers: Record<string, Uint8Array>[]
  open(body: Buffer): void
  next(): boolean
}

const path = new URL('../../eventlog/kafka/host/produce-frame.mjs', import.meta.url)
export const { ProduceReader } = (await import(fileURLToPath(path))) as {
  ProduceReader: new () => ProduceReader
}

/** The records of one frame, as the client's process reads them. */
export function readProduced(frame: Uint8Array): unknown[] {
  const reader = new ProduceReader()
  const found: unknown[] = []
  frameReader(({ body }) => {
    reader.open(Buffer.from(body))
    while (reader.next()) {
      const { id, topic, partition, timestamp, key, value, headers } = reader
      const pairs = headers.flatMap((header) => Object.entries(header))
      found.push({
        ...{ id, topic, partition, timestamp },
        ...{ key: key && [...key], value: value && [...value] },
        headers: pairs.map(([name, of]) => [name, [...of]]),
      })
    }
  })(frame)
  return found
}
