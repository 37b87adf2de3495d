import { el } from './dom.ts'

const suggestions = [
  ['Explain', 'How can a chat survive a lost connection?'],
  ['Compare', 'WebSocket and Server-Sent Events, as a table'],
  ['Write', 'A retry with exponential back-off in TypeScript'],
] as const

/** What an empty chat shows: a greeting and a few beginnings. */
export function fillEmptyState(element: HTMLElement, use: (text: string) => void): void {
  element.append(
    el('h2', {}, 'What would you like to know?'),
    el('p', {}, 'Answers keep coming if you reload, switch devices or lose the network.'),
    el(
      'ul',
      { 'aria-label': 'Suggestions' },
      ...suggestions.map(([verb, rest]) =>
        el(
          'li',
          {},
          el(
            'button',
            { type: 'button', onclick: () => use(`${verb}: ${rest}`) },
            el('strong', {}, verb),
            el('span', {}, rest),
          ),
        ),
      ),
    ),
  )
}
