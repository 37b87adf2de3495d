import type { Socket } from 'bun'
import { rssKbOf } from '../process.ts'
import { nowMs } from '../source.ts'
import { Latencies } from '../stats.ts'
import { inParallel, loadOptions, report } from './load.ts'
import { Viewer } from './viewers.ts'

// Connections that nothing happens on, by WebSocket and by SSE; then a storm of them at once.
const options = loadOptions()
const url = new URL(options.nodes[0] ?? '')
const settleMs = 4_000
const storm = 2_000

const webSocketKb = await perConnection(() => webSockets(options.clients, 100))
const sseKb = await perConnection(() => eventStreams(options.clients))
const { latencies, failed } = await webSockets(storm, storm)
report({
  webSocketKb,
  sseKb,
  stormP50: latencies.quantile(0.5),
  stormP99: latencies.quantile(0.99),
  stormFailed: failed,
})

async function perConnection(connect: () => Promise<{ close(): void }>): Promise<number> {
  const before = rssKb()
  const connections = await connect()
  await Bun.sleep(settleMs)
  const kb = (rssKb() - before) / options.clients
  connections.close()
  await Bun.sleep(settleMs / 2)
  return kb
}

function rssKb(): number {
  return options.pids.reduce((sum, pid) => sum + rssKbOf(pid), 0)
}

async function webSockets(count: number, atOnce: number) {
  const run = crypto.randomUUID()
  const latencies = new Latencies()
  let failed = 0
  const viewers = Array.from(
    { length: count },
    (_, at) => new Viewer(options, at, `${run}-${at}`, () => undefined),
  )
  await inParallel(count, atOnce, async (at) => {
    const fromMs = nowMs()
    if (await viewers[at]?.connect()) latencies.add(nowMs() - fromMs)
    else failed += 1
  })
  return {
    latencies,
    failed,
    close() {
      for (const viewer of viewers) viewer.cut()
    },
  }
}

async function eventStreams(count: number) {
  const run = crypto.randomUUID()
  const sockets: Socket<{ live: () => void }>[] = []
  await inParallel(count, 100, async (at) => {
    await new Promise<void>((resolve, reject) => {
      Bun.connect<{ live: () => void }>({
        hostname: url.hostname,
        port: Number(url.port),
        data: { live: resolve },
        socket: {
          open(socket) {
            sockets.push(socket)
            socket.write(
              `GET /sse/chat?sessionId=${run}-${at} HTTP/1.1\r\nHost: ${url.host}\r\n\r\n`,
            )
          },
          data(socket, bytes) {
            if (bytes.includes('event: live')) socket.data.live()
          },
          close: () => undefined,
        },
      }).catch(reject)
    })
  })
  return {
    close() {
      for (const socket of sockets) socket.terminate()
    },
  }
}
