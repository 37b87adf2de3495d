import { icon } from './icons.ts'

/** Copies, and shows on the button for a moment that it worked. */
export async function copyFrom(button: HTMLButtonElement, text: string): Promise<void> {
  const label = button.querySelector('span')
  const before = { label: button.ariaLabel, text: label?.textContent ?? '' }
  const isCopied = await write(text)
  button.querySelector('svg')?.replaceWith(icon(isCopied ? 'check' : 'close'))
  const said = isCopied ? 'Copied' : 'Not copied'
  button.ariaLabel = said
  if (label !== null) label.textContent = said
  setTimeout(() => {
    button.querySelector('svg')?.replaceWith(icon('copy'))
    button.ariaLabel = before.label
    if (label !== null) label.textContent = before.text
  }, 1600)
}

async function write(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    // No permission, or a page over plain http: the button says so.
    return false
  }
}
