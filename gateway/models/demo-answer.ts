/** A source of numbers in [0, 1) that is the same for the same text, so that a question has one answer. */
export type Dice = () => number

export function diceOf(text: string): Dice {
  let state = 0x811c9dc5
  for (let at = 0; at < text.length; at += 1) {
    state = Math.imul(state ^ text.charCodeAt(at), 0x01000193)
  }
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

/** Pieces of about the size of a model's tokens; joined they are the text. */
export function tokensOf(text: string): string[] {
  return text.match(/ ?[\p{L}\p{M}\p{N}]{1,7}|\s+|[^\s\p{L}\p{M}\p{N}]{1,3}/gu) ?? []
}

/** The answer to a question, in Markdown: a heading, prose, a list, code, a table. */
export function answerTo(question: string, dice: Dice): string {
  const topic = topicOf(question)
  const title = pick(['A short answer', 'In brief', 'How it works', 'What to know'], dice)
  return [
    `## ${title}`,
    `${pick(openings, dice)(topic)} ${pick(asides, dice)}`,
    listOf(dice),
    pick(samples, dice),
    table,
    `${pick(closings, dice)} ${pick(['🌊', '🚀', '👋🏽', '✨'], dice)}`,
  ].join('\n\n')
}

/** What the model thinks before it speaks. */
export function thoughtsOn(question: string, dice: Dice): string {
  const topic = topicOf(question)
  return (
    `The question is about ${topic}. ` +
    pick(['Let me see what is known.', 'First things first.', 'One step at a time.'], dice) +
    ' A heading, a few sentences, a list and an example should do. Keep it short and concrete.'
  )
}

/** Prose without an end, a section at a time. */
export function longAnswerTo(question: string, dice: Dice, tokens: number): string[] {
  const said = tokensOf(`${answerTo(question, dice)}\n\n`)
  for (let section = 2; said.length < tokens; section += 1) {
    const paragraph = shuffled(sentences, dice).join(' ')
    said.push(...tokensOf(`### Part ${section}\n\n${paragraph}\n\n${listOf(dice)}\n\n`))
  }
  return said.slice(0, tokens)
}

function topicOf(question: string): string {
  const words = question.replace(/[`*_[\]<>|\\]/g, '').split(/\s+/)
  const topic = words.slice(0, 12).join(' ').trim().slice(0, 120)
  return topic === '' ? 'nothing in particular' : `“${topic}${words.length > 12 ? ' …' : ''}”`
}

function pick<T>(from: readonly [T, ...T[]], dice: Dice): T {
  return from[Math.floor(dice() * from.length)] ?? from[0]
}

function shuffled<T>(list: readonly T[], dice: Dice): T[] {
  return list
    .map((item) => ({ item, at: dice() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item)
}

function listOf(dice: Dice): string {
  const points = shuffled(facts, dice).slice(0, 4)
  const isNumbered = dice() < 0.5
  return points.map((point, at) => `${isNumbered ? `${at + 1}.` : '-'} ${point}`).join('\n')
}

const openings: [(topic: string) => string, ...((topic: string) => string)[]] = [
  (topic) => `You asked about ${topic}.`,
  (topic) => `Here is what the demo model has to say about ${topic}.`,
  (topic) => `A good question: ${topic}.`,
]

const asides: [string, ...string[]] = [
  'I am the **built-in demo model**: I know nothing, but I stream like a real one. Set `OPENAI_BASE_URL` to talk to any OpenAI-compatible server instead.',
  'No model is behind these words, only a *deterministic* generator, so the same question always gets the same answer. Set `OPENAI_BASE_URL` to use a real one.',
]

const facts = [
  '**Reload the page** while I am speaking: nothing is lost, and nothing comes twice.',
  'Open the chat in a *second tab*; both show the same words at the same time.',
  'Press **Stop**, and every tab agrees on where the answer ended.',
  'Go offline and come back: the text continues where it stopped, exactly.',
  'Every fact of this conversation is an event that can be replayed later.',
  'Behind a proxy without WebSocket the same frames come by server-sent events.',
  'The text is checked against its SHA-256 once it is whole. ✅',
]

const sentences = [
  'A stream is a promise about order: what was said first is shown first.',
  'The gateway numbers each step, and a client remembers a single cursor.',
  'When a connection drops, only the missing steps travel again.',
  'A slow reader delays nobody but itself.',
  'An answer has exactly one owner and exactly one end.',
  'What a reader has seen never shrinks, whatever happens to the machines.',
  'Consumers read the log at their own pace and write what they learn in one transaction.',
]

const samples: [string, ...string[]] = [
  [
    '```ts',
    "import { createChat } from './client/client.ts'",
    '',
    "const chat = createChat({ url: 'http://127.0.0.1:8080' })",
    "const { messageId } = await chat.send('Why is the sky blue?')",
    'const { content, outcome } = await chat.finished(messageId)',
    '```',
  ].join('\n'),
  [
    '```bash',
    'curl -N http://127.0.0.1:8080/api/chat \\',
    "  -H 'accept: text/event-stream' \\",
    "  -H 'content-type: application/json' \\",
    '  -d \'{"sessionId": "first", "message": "Why is the sky blue?"}\'',
    '```',
  ].join('\n'),
  [
    '```python',
    'def words(chunks):',
    '    """Joins what was streamed, in order."""',
    "    return ''.join(chunk['text'] for chunk in sorted(chunks, key=lambda c: c['seq']))",
    '```',
  ].join('\n'),
]

const table = [
  '| What happens | What you see |',
  '| --- | --- |',
  '| The network drops | The answer goes on after a moment |',
  '| The page reloads | The same words, then the rest |',
  '| Someone presses Stop | The text so far, marked as stopped |',
].join('\n')

const closings: [string, ...string[]] = [
  'Ask me anything else, I will be just as confident.',
  'That is all I can make up for now.',
  'Try `/long`, `/slow`, `/reasoning` or `/error timeout` in a question to see more.',
]
