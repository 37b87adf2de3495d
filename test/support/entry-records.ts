import { EntryRecord } from '#gateway/generations/redis/entry-record.ts'

/** The record of an entry of the outbox that a client has read as texts. */
export function recordOfEntry(fields: Readonly<Record<string, string>>): EntryRecord {
  return new EntryRecord(
    Object.entries(fields)
      .flat()
      .map((text) => Buffer.from(text)),
  )
}
