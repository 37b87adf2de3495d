import type { Append, AppendResult, LogStep, Run } from '../../generations.ts'
import type { Hot } from '../hot.ts'
import { chunkCode } from '../rows/chunk-code.ts'
import { pushChunk } from '../rows/journal.ts'
import { chunkStep } from '../rows/log-rows.ts'
import type { ActiveGeneration } from '../session-state.ts'

/** A tail goes to the log past this: what a crash has to replay, and what memory holds of an answer. */
const tailChunksMax = 128
const tailLengthMax = 16_384

export function appendSteps(hot: Hot): (steps: Append[]) => AppendResult[] {
  const { mirror, generations, journal, log, watchers } = hot

  function check(step: Append): AppendResult & { generation?: ActiveGeneration } {
    const generation = mirror.active.get(step.messageId)
    if (generation === undefined) return checkEnded(step)
    if (generation.token !== step.token) return { is: 'refused' }
    const { next, told } = generation
    const to = step.next + step.chunks.length
    if (step.next > next) return { is: 'behind', next }
    if (step.next < next)
      return to <= next && isTold(step.runs, told) ? { is: 'already' } : { is: 'behind', next }
    if (step.chunks.length === 0 && isTold(step.runs, told)) return { is: 'already' }
    if (!isRow(step.runs, told, to)) return { is: 'told', told }
    return { is: 'applied', generation }
  }

  function checkEnded(step: Append): AppendResult {
    const row = generations.load(step.messageId)
    if (row === null) return { is: 'lost' }
    const isIn = step.next + step.chunks.length <= row.next && isTold(step.runs, row.told)
    return row.token === step.token && isIn ? { is: 'already' } : { is: 'refused' }
  }

  function apply(generation: ActiveGeneration, step: Append, entries: (number | string)[]): void {
    const { session } = generation
    const seq = session.seq + 1
    recordRuns(hot, generation, step.runs)
    if (step.chunks.length === 0) {
      generations.tell(step.messageId, generation.told)
      return
    }
    entries.push(session.sid, seq, generation.told, step.chunks.length)
    const steps: LogStep[] | null = watchers.has(session.sessionId) ? [] : null
    for (const { kind, part, text } of step.chunks) {
      const code = chunkCode(kind, part)
      entries.push(code, text)
      steps?.push(
        chunkStep(
          { seq: session.seq + 1, messageId: step.messageId, chunkIndex: generation.next },
          code,
          text,
        ),
      )
      pushChunk(generation, code, text, journal.nextId)
    }
    if (steps !== null) {
      const at = step.at === undefined ? undefined : { at: step.at }
      watchers.say(session.sessionId, { type: 'steps', epoch: session.epoch, steps, ...at })
    }
    const { tail } = session
    if (tail.codes.length >= tailChunksMax || tail.length >= tailLengthMax) log.spill(generation)
  }

  return (steps) => {
    hot.ready()
    return hot.commit(() => {
      const entries: (number | string)[] = []
      const results = steps.map((step): AppendResult => {
        const { generation, ...result } = check(step)
        if (generation !== undefined) apply(generation, step, entries)
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
