import { expect, test } from 'bun:test'
import { plainFrame } from '#gateway/chat/viewers/frame.ts'
import { createViewers } from '#gateway/chat/viewers/viewers.ts'
import { Socket, type SocketData } from '#gateway/routes/socket/socket.ts'
import { quietLog } from '#runtime/log.ts'
import { ann, asksNode } from '../support/asks-node.ts'
import { atEnd } from '../support/tracker.ts'
import { until } from '../support/until.ts'

/** Bun's side of a WebSocket whose peer reads as much as the test says. */
class PlainWebSocket {
  readonly sent: string[] = []
  closedWith: number | null = null
  isTerminated = false
  readyState: number = WebSocket.OPEN
  buffered = 0
  isReading = true

  send(text: string): number {
    if (this.closedWith !== null) return 0
    this.sent.push(text)
    if (this.isReading) return text.length
    this.buffered += text.length
    return -1
  }
  getBufferedAmount(): number {
    return this.buffered
  }
  cork(write: () => void): void {
    write()
  }
  close(code: number): void {
    this.closedWith = code
  }
  terminate(): void {
    this.isTerminated = true
  }
  types(): string[] {
    return this.sent.map((text) => JSON.parse(text).type as string)
  }
}

/** A joined socket, its clock, and what became of its place among the limits. */
async function joined() {
  const node = asksNode()
  const clock = { nowMs: Date.now() }
  const viewers = createViewers({
    generations: node.generations,
    sessions: node.sessions,
    asks: { viewersChanged: () => undefined },
    nodeId: 'node-1',
    heartbeatMs: 25_000,
    log: quietLog,
    now: () => clock.nowMs,
  })
  atEnd(async () => {
    viewers.closeAll()
    await node[Symbol.asyncDispose]()
  })
  const { session } = await node.sessions.open(ann, 's')
  const ws = new PlainWebSocket()
  const slot = { released: 0, release: () => (slot.released += 1) }
  const socket = new Socket(ws as unknown as Bun.ServerWebSocket<SocketData>, {
    viewers,
    incoming: { proceed: () => undefined },
    who: { ...ann, expiresAtMs: clock.nowMs + 3_600_000 },
    session,
    slot: slot as unknown as { release(): void },
    cursorText: null,
    cursor: null,
  })
  await until(() => ws.types().includes('live'))
  const pass = (ms: number) => {
    clock.nowMs += ms
    socket.visit(clock.nowMs)
  }
  return { socket, ws, slot, viewers, pass }
}

test('a ping goes out each heartbeat, and the silence after one is the end', async () => {
  const { socket, ws, pass } = await joined()
  pass(24_999)
  expect(ws.types()).not.toContain('ping')
  pass(1)
  expect(ws.types().at(-1)).toBe('ping')
  pass(9_999)
  socket.heard()
  pass(15_001)
  expect(ws.types().filter((type) => type === 'ping').length).toBe(2)
  pass(10_000)
  expect(ws.closedWith).toBe(4010)
})

test('no ping is queued while bytes wait', async () => {
  const { socket, ws, pass } = await joined()
  ws.isReading = false
  socket.write(plainFrame({ type: 'pong' }))
  pass(25_000)
  expect(ws.types()).not.toContain('ping')
  ws.buffered = 0
  ws.isReading = true
  socket.drained()
  pass(1)
  expect(ws.types().at(-1)).toBe('ping')
})

test('30 s without a byte leaving are the end, and a byte that leaves begins them anew', async () => {
  const { socket, ws, slot, pass, viewers } = await joined()
  ws.isReading = false
  socket.write(plainFrame({ type: 'pong', padding: 'x'.repeat(1_000) }))
  pass(1)
  pass(29_000)
  ws.buffered -= 1
  pass(1_000)
  pass(29_999)
  expect(ws.closedWith).toBeNull()
  pass(1)
  expect(ws.closedWith).toBe(4008)
  expect(slot.released).toBe(1)
  expect(viewers.counts.websocket).toBe(0)
})

test('past 1 MiB of frames that are no steps the socket is too slow', async () => {
  const { socket, ws } = await joined()
  ws.isReading = false
  const frame = plainFrame({ type: 'error', message: 'x'.repeat(65_000) })
  for (let nth = 0; nth < 16; nth += 1) socket.write(frame)
  expect(ws.closedWith).toBeNull()
  socket.write(frame)
  expect(ws.closedWith).toBe(4008)
})

test('after its token’s time and the leeway a socket is closed with 4001', async () => {
  const { ws, pass, socket } = await joined()
  pass(3_600_000)
  socket.heard()
  pass(29_999)
  expect(ws.closedWith).not.toBe(4001)
  socket.heard()
  pass(1)
  expect(ws.closedWith).toBe(4001)
})

test('once closed it writes nothing more and frees its place once', async () => {
  const { socket, ws, slot } = await joined()
  const before = ws.sent.length
  socket.end(1012)
  socket.end(4008)
  socket.gone(1006)
  socket.write(plainFrame({ type: 'pong' }))
  expect(ws.closedWith).toBe(1012)
  expect(ws.sent.length).toBe(before)
  expect(slot.released).toBe(1)
})
