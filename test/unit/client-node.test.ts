import { expect, test } from 'bun:test'
import { join } from 'node:path'
import { ScriptedGateway } from '../support/scripted-gateway.ts'
import { tempDir } from '../support/temp.ts'
import { until } from '../support/until.ts'

const entry = join(import.meta.dir, '../../client/client.ts')

/** What a program of a user does: ask, print the deltas, print how it ended. */
const program = `
  import { createChat } from './client.js'
  const chat = createChat({ url: process.argv[2], sessionId: 's' })
  const { messageId } = await chat.send('hello')
  const { transport } = chat.snapshot()
  const { content, outcome } = await chat.finished(messageId)
  console.log(JSON.stringify({ transport, content, outcome, hasWebSocket: 'WebSocket' in globalThis }))
  chat.close()
`

test('the client runs in Node as it is, by SSE where Node has no WebSocket', async () => {
  const outdir = tempDir('sluice-node')
  const built = await Bun.build({ entrypoints: [entry], outdir, target: 'node' })
  expect(built.success).toBe(true)
  await Bun.write(join(outdir, 'package.json'), '{"type":"module"}')
  await Bun.write(join(outdir, 'program.js'), program)
  await using gateway = new ScriptedGateway()
  const child = Bun.spawn(['node', join(outdir, 'program.js'), gateway.url], {
    stdout: 'pipe',
    stderr: 'inherit',
    timeout: 10_000,
  })
  await until(() => gateway.active !== null)
  gateway.say('one ')
  gateway.last.cut()
  gateway.say('two')
  gateway.end()
  const { hasWebSocket, ...said } = JSON.parse(await new Response(child.stdout).text())
  const transport = hasWebSocket ? 'websocket' : 'sse'
  expect(said).toEqual({ transport, content: 'one two', outcome: 'completed' })
  expect(await child.exited).toBe(0)
})

test('the client imports nothing, so that it bundles for any page', async () => {
  const built = await Bun.build({ entrypoints: [entry], target: 'browser', minify: true })
  const text = await built.outputs[0]?.text()
  expect(text).not.toMatch(/\b(import|require)\b *[({"']/)
  expect(text?.length).toBeLessThan(30_000)
})
