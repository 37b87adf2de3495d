import { describe } from 'bun:test'
import type { MakeAdapter } from './event-log-adapter.ts'
import { groupsContract } from './event-log-groups.ts'
import { membersContract } from './event-log-members.ts'
import { recordsContract } from './event-log-records.ts'

/** What every event log must do. */
export function eventLogContract(name: string, makeAdapter: MakeAdapter): void {
  describe(`event log: ${name}`, () => {
    recordsContract(makeAdapter)
    groupsContract(makeAdapter)
    membersContract(makeAdapter)
  })
}
