import { ContractError } from '../chat/errors.ts'
import type { ForwardReplay } from '../routes/replay.ts'

/** A node has no event log at hand: replay is a process of its own. */
export const noReplay: ForwardReplay = () =>
  Promise.reject(
    new ContractError('not_found', 'Replay is served by consumer:replay, not by a gateway.'),
  )
