import type { Chat } from '#client/chat.ts'
import { type CreateChat, createChat } from '#client/client.ts'
import { atEnd } from './tracker.ts'
import { until } from './until.ts'

/** Everything a hundred times faster than for people. */
export const quick = {
  backOffMs: 10,
  backOffMaxMs: 100,
  blockedMs: 100,
  openMs: 500,
  graceMs: 50,
  wakeMs: 50,
  probeMs: 50,
  probeMaxMs: 100,
}

/** A client that is closed at the end of the test. */
export function testChat(options: CreateChat): Chat {
  const chat = createChat({ sessionId: 's', ...options, timing: { ...quick, ...options.timing } })
  atEnd(() => chat.close())
  return chat
}

export const isOpen = (chat: Chat) =>
  until(() => chat.snapshot().state === 'open', { what: 'the chat is open' })

/** What is shown: `role: text` of each message. */
export const shown = (chat: Chat) =>
  chat.snapshot().messages.map(({ role, content }) => `${role}: ${content}`)
