import type { LogStep } from '../../generations.ts'
import type { Append, AppendResult, Run } from '../../steps.ts'
import type { Hot } from '../hot.ts'
import { chunkCode } from '../rows/chunk-code.ts'
import { pushChunk } from '../rows/journal.ts'
import type { ActiveGeneration } from '../session-state.ts'

/** A tail goes to the log past this: what a crash has to replay, and what memory holds of an answer. */
const tailChunksMax = 128
const tailLengthMax = 16_384

// One for all: a result is only read.
const applied: AppendResult = { is: 'applied' }

export function appendSteps(hot: Hot): (steps: Append[]) => AppendResult[] {
  const { mirror, generations, journal, log, watchers } = hot

  function check(step: Append, generation: ActiveGeneration): AppendResult {
    if (generation.token !== step.token) return { is: 'refused' }
    const { next, told } = generation
    const to = step.next + step.chunks.length
    if (step.next > next) return { is: 'behind', next }
    if (step.next < next)
      return to <= next && isTold(step.runs, told) ? { is: 'already' } : { is: 'behind', next }
    if (step.chunks.length === 0 && isTold(step.runs, told)) return { is: 'already' }
    if (!isRow(step.runs, told, to)) return { is: 'told', told }
    return applied
  }

  function checkEnded(step: Append): AppendResult {
    const row = generations.load(step.messageId)
    if (row === null) return { is: 'lost' }
    const isIn = step.next + step.chunks.length <= row.next && isTold(step.runs, row.told)
    return row.token === step.token && isIn ? { is: 'already' } : { is: 'refused' }
  }

  function apply(generation: ActiveGeneration, step: Append, entries: (number | string)[]): void {
    const { session } = generation
    const { messageId, chunks, at } = step
    if (step.runs.length > 0) recordRuns(hot, generation, step.runs)
    if (chunks.length === 0) {
      generations.tell(messageId, generation.told)
      return
    }
    entries.push(session.sid, session.seq + 1, generation.told, chunks.length)
    const hearers = watchers.ofSteps(session.sessionId)
    const steps: LogStep[] = []
    const journalId = journal.nextId
    for (const { kind, part, text } of chunks) {
      const code = chunkCode(kind, part)
      entries.push(code, text)
      if (hearers !== null) {
        const seq = session.seq + 1
        steps.push({ type: 'chunk', seq, messageId, chunkIndex: generation.next, kind, part, text })
      }
      pushChunk(generation, code, text, journalId)
    }
    if (hearers !== null) {
      const { epoch } = session
      const isTimed = at !== undefined
      watchers.saySteps(
        hearers,
        isTimed ? { type: 'steps', epoch, steps, at } : { type: 'steps', epoch, steps },
      )
    }
    const { tail } = session
    if (tail.codes.length >= tailChunksMax || tail.length >= tailLengthMax) log.spill(generation)
  }

  return (steps) => {
    hot.ready()
    return hot.commit(() => {
      const entries: (number | string)[] = []
      const results = steps.map((step): AppendResult => {
        const generation = mirror.active.get(step.messageId)
        if (generation === undefined) return checkEnded(step)
        const result = check(step, generation)
        if (result === applied) apply(generation, step, entries)
        return result
      })
      if (entries.length > 0) journal.write(entries)
      return results
    })
  }
}

/** Whether all of these runs were told before. */
function isTold(runs: readonly Run[], told: number): boolean {
  const last = runs.at(-1)
  return last === undefined || last.to <= told
}

/** Whether the runs are a row without a gap from `told` on, ending at or before `to`. */
export function isRow(runs: readonly Run[], told: number, to: number): boolean {
  let at = told
  for (const run of runs) {
    if (run.from !== at || run.to <= run.from) return false
    at = run.to
  }
  return at <= to
}

/** Inside a transaction, before or with the chunks that they tell. */
export function recordRuns(hot: Hot, generation: ActiveGeneration, runs: readonly Run[]): void {
  const { session, startedSeq } = generation
  for (const run of runs) {
    const fromSeq = startedSeq + 1 + run.from
    hot.record(run.event, { epoch: session.epoch, seq: startedSeq + run.to, fromSeq })
    generation.told = run.to
  }
}
