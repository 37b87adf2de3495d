import { atEnd, opened } from './tracker.ts'

const headerBytes = 12
const isAddress = 1
const noSuchName = 3

/** A DNS server that knows these names; the table may change. Answers its `host:port`; ends with the test or file. */
export async function nameServer(table: Map<string, readonly string[]>): Promise<string> {
  const closed = opened('name server')
  const socket = await Bun.udpSocket({
    hostname: '127.0.0.1',
    socket: {
      data(self, query, port, address) {
        self.send(answerTo(query, table), port, address)
      },
    },
  })
  atEnd(() => {
    socket.close()
    closed()
  })
  return `127.0.0.1:${socket.port}`
}

function answerTo(query: Buffer, table: ReadonlyMap<string, readonly string[]>): Buffer {
  const labels: string[] = []
  let at = headerBytes
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  const type = query.readUInt16BE(at + 1)
  const question = query.subarray(headerBytes, at + 5)
  const known = table.get(labels.join('.'))
  const addresses = type === isAddress ? (known ?? []) : []
  const header = Buffer.alloc(headerBytes)
  query.copy(header, 0, 0, 2)
  header.writeUInt16BE(0x8180 | (known === undefined ? noSuchName : 0), 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(addresses.length, 6)
  const records = addresses.map((address) =>
    // The name of the question, type A, class IN, a second, four bytes.
    Buffer.from([
      0xc0,
      headerBytes,
      0,
      1,
      0,
      1,
      0,
      0,
      0,
      1,
      0,
      4,
      ...address.split('.').map(Number),
    ]),
  )
  return Buffer.concat([header, question, ...records])
}
