/** Facts about the log itself: written to the audit directly, they stand in no topic. */
export type AuditFact =
  | { eventType: 'REPLAY_STARTED'; request: string; replayId: string }
  | {
      eventType: 'REPLAY_FINISHED'
      request: string
      replayId: string
      count: number
      complete: boolean
      durationMs: number
      outcome: string
    }
  | {
      eventType: 'DEAD_LETTER_REDRIVEN'
      topic: string
      group: string
      partition: number
      offset: number
    }
