import type { Run } from './client.ts'
import {
  listenTo,
  type Port,
  type SentError,
  type Statement,
  sendTo,
  type ToHost,
} from './remote-messages.ts'

// A ring of causes must not hang us.
const depthMax = 5

/**
 * Runs the statements of a `remoteDatabase` at the other end of the port, from now on. Call it once the tables are
 * there; call the answer, with a reason, before the database closes.
 */
export function hostDatabase(port: Port, run: Run): (reason: string) => void {
  const answer = async ({ id, text, params, shape }: Statement) => {
    try {
      sendTo(port, { is: 'rows', id, rows: await run(text, params, shape) })
    } catch (error) {
      sendTo(port, { is: 'failed', id, error: sentError(error, depthMax) })
    }
  }
  const stop = listenTo<ToHost>(port, (message) => {
    if (message.is === 'hello') sendTo(port, { is: 'ready' })
    else void answer(message)
  })
  // Whoever listened before us has said hello to nobody.
  sendTo(port, { is: 'ready' })
  return (reason) => {
    stop()
    sendTo(port, { is: 'closed', reason })
  }
}

function sentError(error: unknown, depth: number): SentError {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error) }
  return {
    name: error.name,
    message: error.message,
    ...('code' in error && typeof error.code === 'string' && { code: error.code }),
    ...(error.cause !== undefined && depth > 1 && { cause: sentError(error.cause, depth - 1) }),
  }
}
