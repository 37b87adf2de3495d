import { openStore } from '#eventlog/sqlite/store.ts'
import { sqliteGenerations } from '#gateway/generations/sqlite/sqlite-generations.ts'
import {
  appendStep,
  beginStep,
  eventOf,
  finishStep,
  newSession,
  optionsDefault,
  runOf,
} from './generations-kit.ts'

/** What the owner was told of one answer before it died; the last line of an answer counts. */
export interface Acknowledged {
  sessionId: string
  messageId: string
  epoch: number
  next: number
  told: number
  isEnded: boolean
}

/** Writes answers without end and prints what is acknowledged, until it is killed. */
async function write(dataDir: string, answers: number, runChunks: number): Promise<never> {
  const generations = sqliteGenerations(openStore({ dataDir }), optionsDefault)
  const print = (line: Acknowledged) => process.stdout.write(`${JSON.stringify(line)}\n`)
  const start = async () => {
    const begin = beginStep(newSession(), { leaseMs: 60_000, requestId: 'r1' })
    const begun = await generations.begin(begin)
    if (begun.is !== 'applied') throw new Error(begun.is)
    const { sessionId } = begin.session
    const { messageId } = begin
    const line = { sessionId, messageId, epoch: begun.epoch, next: 0, told: 0, isEnded: false }
    print(line)
    return { begin, line }
  }
  const owned = await Promise.all(Array.from({ length: answers }, start))
  for (let round = 0; ; round += 1) {
    const steps = owned.map(({ begin, line }, index) => {
      const texts = Array.from(
        { length: 1 + ((round + index) % 3) },
        (_, at) => `${line.next + at} `,
      )
      const to = line.next + texts.length
      const runs = to - line.told >= runChunks ? [runOf(begin, line.told, to)] : []
      return appendStep(begin, line.next, texts, runs)
    })
    const results = await generations.append(steps)
    for (const [index, { line }] of owned.entries()) {
      if (results[index]?.is !== 'applied') throw new Error(JSON.stringify(results[index]))
      line.next += steps[index]?.chunks.length ?? 0
      line.told = steps[index]?.runs.at(-1)?.to ?? line.told
      print(line)
    }
    const ending = owned[round % answers]
    if (round % 4 === 3 && ending !== undefined) {
      const { begin, line } = ending
      const runs = line.told < line.next ? [runOf(begin, line.told, line.next)] : []
      await generations.finish(finishStep(begin, line.next, { runs }))
      print({ ...line, told: line.next, isEnded: true })
      owned[round % answers] = await start()
    }
    const event = eventOf(newSession(), 'CLIENT_CONNECTED')
    generations.tell([{ ...event, json: `${event.json}}` }])
    await Bun.sleep(1)
  }
}

if (import.meta.main) {
  const [dataDir = '', answers, runChunks] = process.argv.slice(2)
  await write(dataDir, Number(answers), Number(runChunks))
}
