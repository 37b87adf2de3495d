import type { LogStep } from '../../generations.ts'
import type { Append, AppendResult, NotLearned } from '../../steps.ts'
import { codeOf } from '../entries.ts'
import { type Hot, keysOf } from '../hot.ts'
import { pushEvent } from '../outbox.ts'
import type { OwnedAnswer } from '../owned.ts'
import type { Routes } from '../routes.ts'
import { note, type Written } from '../said.ts'
import { shardOfSession } from '../shards.ts'

/** Of one script call: Redis does nothing else meanwhile, about 6 us a step. */
const callStepsMax = 64
const callBytesMax = 256 * 1024
const livesMax = 5

/** One script call under construction. */
interface Call {
  script: 'chunks' | 'append'
  shard: number
  args: string[]
  indexes: number[]
  /** Of the short way: epoch and `startedSeq` of each step. */
  places: number[]
  size: number
}

type Result = AppendResult | NotLearned

const applied: AppendResult = { is: 'applied' }
const already: AppendResult = { is: 'already' }
const refused: AppendResult = { is: 'refused' }
const lost: AppendResult = { is: 'lost' }
const codes = { applied: 0, already: 1, behind: 2, told: 3, refused: 4, lost: 5, epoch: 6 }

export function appending(hot: Hot): (steps: Append[]) => Promise<Result[]> {
  const { routes, owned, origin } = hot

  /** Chunks that stand as their owner believes go the short way; nothing but their order within an answer matters. */
  function callsOf(steps: readonly Append[], indexes: Iterable<number>, isPlain: boolean): Call[] {
    const calls: Call[] = []
    const open = { chunks: new Map<unknown, Call>(), append: new Map<unknown, Call>() }
    for (const index of indexes) {
      const step = steps[index]
      if (step === undefined) continue
      const answer = owned.get(step.messageId)
      if (answer !== undefined) noteAll(answer.written, step)
      const isKnown = isPlain && answer !== undefined && answer.writer !== ''
      const isShort = isKnown && step.runs.length === 0 && answer.token === step.token
      const script = isShort && step.chunks.length > 0 ? 'chunks' : 'append'
      const shard = shardOfSession(step.sessionId)
      const place = routes.isCluster ? shard : routes.of(shard)
      let call = open[script].get(place)
      if (call === undefined || isFull(call)) {
        const args = script === 'append' ? [origin] : []
        call = { script, shard, args, indexes: [], places: [], size: 0 }
        open[script].set(place, call)
        calls.push(call)
      }
      call.indexes.push(index)
      if (answer !== undefined && script === 'chunks') {
        call.places.push(answer.epoch, answer.startedSeq)
        call.size += pushChunks(call.args, origin, answer, step)
      } else call.size += pushStep(call.args, routes.base(shard), step)
    }
    return calls
  }

  return async (steps) => {
    if (!routes.isKnown) await routes.known()
    const results = new Array<Result>(steps.length)
    let left: number[] | null = null
    let failure: NotLearned | null = null
    /** Of several servers one may be away: what the others have done counts. */
    const settleOr = async (call: Call): Promise<number[]> => {
      try {
        return await settle(hot, call, { steps, results })
      } catch (error) {
        failure ??= { is: 'unknown', error }
        for (const index of call.indexes) results[index] = failure
        return []
      }
    }
    for (let lives = 0; lives <= livesMax; lives += 1) {
      const calls = callsOf(steps, left ?? steps.keys(), left === null)
      const again = (await Promise.all(calls.map(settleOr))).flat()
      if (again.length === 0) {
        if (failure === null || results.some(({ is }) => is !== 'unknown')) return results
        throw (failure as NotLearned).error
      }
      // The short way only says that something is not as believed.
      if (left !== null) {
        const sessions = new Set(again.map((index) => steps[index]?.sessionId ?? ''))
        await Promise.all([...sessions].map((sessionId) => hot.renewLife(sessionId)))
      }
      left = again.sort((one, other) => one - other)
    }
    throw new Error('Redis changes faster than its steps can follow')
  }
}

interface Going {
  steps: readonly Append[]
  /** By step. */
  results: Result[]
}

/** Answers which steps have to be sent again. */
async function settle(hot: Hot, call: Call, { steps, results }: Going): Promise<number[]> {
  const { owned } = hot
  const reply = await send(hot, call, steps)
  const again: number[] = []
  for (let at = 0; at < call.indexes.length; at += 1) {
    const index = call.indexes[at] ?? 0
    const step = steps[index]
    if (step === undefined) continue
    if (call.script === 'chunks') {
      if (reply[at] !== 1) {
        again.push(index)
        continue
      }
      results[index] = applied
      const seq = (call.places[at * 2 + 1] ?? 0) + 1 + step.next
      hear(hot, step, call.places[at * 2] ?? 0, seq)
      written(hot, step)
      continue
    }
    const [code, value = 0, seq = 0] = reply.slice(at * 3, at * 3 + 3)
    if (code === codes.epoch) again.push(index)
    else results[index] = resultOf(code, value)
    if (code === codes.applied) {
      owned.place(step.messageId, value, seq - step.next - 1)
      hear(hot, step, value, seq)
    }
    if (code === codes.applied || code === codes.already) written(hot, step)
    if (code === codes.refused) owned.delete(step.messageId)
  }
  return again
}

async function send(
  { routes, owned }: Hot,
  call: Call,
  steps: readonly Append[],
): Promise<number[]> {
  try {
    const keys = keysOfCall(routes, call, steps)
    return (await routes.run(call.script, call.shard, call.args, keys)) as number[]
  } catch (error) {
    for (const index of call.indexes) {
      const answer = owned.get(steps[index]?.messageId ?? '')
      if (answer !== undefined) answer.isDoubted = true
    }
    throw error
  }
}

function keysOfCall(routes: Routes, { shard, indexes }: Call, steps: readonly Append[]): string[] {
  if (!routes.isCluster) return []
  const keys = indexes.flatMap((index) => {
    const step = steps[index]
    return step === undefined ? [] : keysOf(routes, shard, step.sessionId, [step.messageId])
  })
  return [...new Set(keys)]
}

/** It is in the log; after a doubt, watchers look for what they have perhaps not heard. */
function written({ owned, ears }: Hot, step: Append): void {
  const answer = owned.get(step.messageId)
  if (answer === undefined) return
  const to = step.runs.at(-1)?.to ?? 0
  const { last } = answer.written
  if (last !== undefined && to > 0) last.seq = Math.max(last.seq, answer.startedSeq + to)
  if (!answer.isDoubted) return
  answer.isDoubted = false
  ears.say(step.sessionId, { type: 'moved' })
}

function noteAll(written: Written, { next, chunks }: Append): void {
  let index = next
  for (const chunk of chunks) {
    note(written, index, chunk)
    index += 1
  }
}

function isFull({ indexes, size }: Call): boolean {
  return indexes.length >= callStepsMax || size >= callBytesMax
}

function hear({ ears }: Hot, step: Append, epoch: number, firstSeq: number): void {
  if (step.chunks.length === 0 || !ears.has(step.sessionId)) return
  const { messageId, next } = step
  const heard = step.chunks.map(
    ({ kind, part, text }, at): LogStep => ({
      type: 'chunk',
      seq: firstSeq + at,
      messageId,
      chunkIndex: next + at,
      kind,
      part,
      text,
    }),
  )
  ears.steps(step.sessionId, epoch, heard, step.at)
}

function resultOf(code: number | undefined, value: number): AppendResult {
  switch (code) {
    case codes.applied:
      return applied
    case codes.already:
      return already
    case codes.behind:
      return { is: 'behind', next: value }
    case codes.told:
      return { is: 'told', told: value }
    case codes.refused:
      return refused
    case codes.lost:
      return lost
    default:
      throw new Error(`not an answer of append: ${code}`)
  }
}

/** Both answer about how many bytes it is. */
function pushChunks(args: string[], origin: string, answer: OwnedAnswer, step: Append): number {
  const { keys, writer, epoch, startedSeq } = answer
  const { next, chunks } = step
  const { length } = chunks
  let seq = startedSeq + 1 + next
  let message = `${origin}\0c\0${epoch}\0${seq + length - 1}\0${seq}\0${next}\0${step.messageId}`
  const at = args.push(
    keys.answer,
    keys.log,
    keys.deltas,
    writer,
    `${next}`,
    `${next + length}`,
    '',
  )
  args.push(`${length}`)
  let size = 300
  for (const { kind, part, text } of chunks) {
    const code = codeOf(kind, part)
    message += `\0${code}\0${text}`
    args.push(`${epoch}-${seq}`, code, text)
    seq += 1
    size += 2 * text.length
  }
  args[at - 1] = message
  return size
}

function pushStep(args: string[], base: string, step: Append): number {
  const { sessionId, messageId, token, next, chunks, runs } = step
  const { length } = chunks
  args.push(base, sessionId, messageId, token, `${next}`, `${length}`, `${runs.length}`)
  let size = 300
  for (const { kind, part, text } of chunks) {
    args.push(codeOf(kind, part), text)
    size += text.length
  }
  for (const run of runs) {
    args.push(`${run.from}`, `${run.to}`)
    pushEvent(args, run.event)
    size += run.event.json.length
  }
  return size
}
