import { describe, expect, test } from 'bun:test'
import { shardOf } from '#events/murmur2.ts'
import { newMessageId, shardOfMessage } from '#gateway/chat/message-id.ts'
import { isUuid, timeOfUuid, uuidv7 } from '#runtime/ids.ts'

describe('a message id', () => {
  test('is a UUIDv7 of its instant that holds the shard of its session', () => {
    const at = Date.UTC(2026, 10, 25, 12, 0, 0, 123)
    for (const sessionId of ['a', 'session-2', 'x:y.z', '0193a1e0-0000-7000-8000-000000000000']) {
      const id = newMessageId(sessionId, at)
      expect(isUuid(id)).toBe(true)
      expect(id[14]).toBe('7')
      expect(timeOfUuid(id)).toBe(at)
      expect(shardOfMessage(id)).toBe(shardOf(sessionId))
    }
  })

  test('is never given twice, in one millisecond and one session either', () => {
    const ids = new Set(Array.from({ length: 20_000 }, () => newMessageId('s', 1_764_000_000_000)))
    expect(ids.size).toBe(20_000)
  })

  test('names no shard when it is none of ours', () => {
    for (const id of ['', 'message', uuidv7(1).toUpperCase(), `${newMessageId('s', 1)} `]) {
      expect(shardOfMessage(id)).toBeNull()
    }
    expect(shardOfMessage('0193a1e0-0000-7fff-8000-000000000000')).toBeNull()
    expect(shardOfMessage('0193a1e0-0000-4001-8000-000000000000')).toBeNull()
  })
})
