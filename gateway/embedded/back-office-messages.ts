import type { PartitionBy } from '#db/partitions.ts'
import type { Env } from '#runtime/env.ts'
import type { LogLevel } from '#runtime/log.ts'
import type { Dependency } from '../health.ts'

/** What the thread is told before it does anything. */
export interface BackOfficeConfig {
  dataDir: string
  nodeId: string
  logLevel: LogLevel
  /** Of telemetry: the standard OTLP variables. */
  env: Env
  /** Where replay listens: a Unix socket in a folder of this process alone. */
  socketPath: string
  /** What a caller of replay must bring: nobody else's requests carry an identity that is believed. */
  secret: string
  partitionBy: PartitionBy
  /** Left out: the audit is kept for good. */
  auditRetentionMs?: number
}

export type ToBackOffice = { is: 'start'; config: BackOfficeConfig } | { is: 'stop' }

export type FromBackOffice =
  /** Everything runs. */
  | { is: 'ready' }
  | { is: 'health'; groups: Record<string, Dependency> }
  /** It can't go on; the thread is about to end. */
  | { is: 'failed'; message: string }
  | { is: 'stopped' }

const tag = 'sluice-back-office'

export interface Sender {
  postMessage(message: unknown): void
}

export function tell(to: Sender, message: ToBackOffice | FromBackOffice): void {
  to.postMessage({ [tag]: message })
}

/** The message, when it is one of these: others use the same channel. */
export function messageOf<Message extends ToBackOffice | FromBackOffice>(
  data: unknown,
): Message | null {
  if (typeof data !== 'object' || data === null || !(tag in data)) return null
  return data[tag] as Message
}

export const secretHeader = 'x-sluice-secret'
export const whoHeader = 'x-sluice-who'
