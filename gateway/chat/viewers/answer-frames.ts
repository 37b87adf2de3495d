import type { Generation, StoredMessage } from '../../generations/generations.ts'
import { Frame } from './frame.ts'

/** Where a finished answer stood in its session's log. Epoch 0: nobody knows any more, the ids are made up. */
export interface AnswerPlace {
  epoch: number
  startedSeq: number
}

const pieceUnits = 16_384

/**
 * A finished answer whose steps are no longer kept, as the frames that they would be: merged chunks from 0, then `done`.
 * A chunk is never longer than a piece, so that there are always enough indexes for the pieces.
 */
export function answerFrames(message: StoredMessage, { epoch, startedSeq }: AnswerPlace): Frame[] {
  const { messageId } = message
  const plain = message.content === '' ? [] : [{ part: 0, kind: 'text', text: message.content }]
  const parts: NonNullable<StoredMessage['parts']> = message.parts ?? plain
  const pieces = parts.flatMap(({ text = '', ...part }) =>
    cut(text).map((piece) => ({ ...part, text: piece })),
  )
  const chunks = Math.max(message.chunks ?? 0, pieces.length)
  const frames = pieces.map(({ part, kind, text }, at) => {
    const chunkIndex = at === pieces.length - 1 ? chunks - 1 : at
    const seq = startedSeq + 1 + chunkIndex
    const isMerged = chunkIndex > at
    const body = {
      type: 'chunk',
      messageId,
      chunkIndex,
      fromChunkIndex: isMerged ? at : undefined,
      kind: kind === 'text' ? undefined : kind,
      part: part === 0 ? undefined : part,
      text,
      fromSeq: isMerged ? startedSeq + 1 + at : undefined,
      seq,
    }
    return new Frame('chunk', JSON.stringify(body), messageId, epoch, seq)
  })
  frames.push(doneFrame(message, chunks, { epoch, startedSeq }))
  return frames
}

/** The step at which a finished answer ended. */
export function doneSeqOf({ startedSeq, next }: Pick<Generation, 'startedSeq' | 'next'>): number {
  return startedSeq + 1 + next
}

function doneFrame(message: StoredMessage, chunks: number, place: AnswerPlace): Frame {
  const { messageId, outcome, content, finishReason, usage, error } = message
  const seq = doneSeqOf({ ...place, next: chunks })
  const body = {
    type: 'done',
    messageId,
    outcome,
    chunks,
    length: message.length ?? content.length,
    sha256: message.sha256 ?? new Bun.CryptoHasher('sha256').update(content).digest('hex'),
    finishReason,
    usage,
    error,
    seq,
  }
  return new Frame('done', JSON.stringify(body), messageId, place.epoch, seq)
}

/** No piece ends inside a surrogate pair. */
function cut(text: string): string[] {
  const pieces: string[] = []
  let from = 0
  while (from < text.length) {
    let to = from + pieceUnits
    const unit = text.charCodeAt(to - 1)
    if (to < text.length && unit >= 0xd800 && unit <= 0xdbff) to -= 1
    pieces.push(text.slice(from, to))
    from = to
  }
  return pieces
}
