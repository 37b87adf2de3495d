import { el } from './dom.ts'

interface DialogOptions {
  title: string
  text?: string
  body?: HTMLElement[]
  confirm: string
  isDangerous?: boolean
  /** Left out: nothing to cancel. */
  cancel?: string
  /** Keeps the dialog open and is shown when it rejects. */
  onConfirm?: () => Promise<void>
}

/** A native dialog: focus stays in it, Esc leaves it, focus goes back. Resolves true when it was confirmed. */
export function openDialog(options: DialogOptions): Promise<boolean> {
  const { title, text, body = [], confirm, isDangerous = false, cancel, onConfirm } = options
  return new Promise((resolve) => {
    const failure = el('p', { class: 'failure', role: 'alert', hidden: true })
    const yes = el(
      'button',
      { type: 'submit', class: isDangerous ? 'button danger' : 'button' },
      confirm,
    )
    const no =
      cancel !== undefined && el('button', { type: 'button', class: 'button quiet' }, cancel)
    const form = el(
      'form',
      { method: 'dialog' },
      el('h2', { id: 'dialog-title' }, title),
      text !== undefined && el('p', {}, text),
      ...body,
      failure,
      el('div', { class: 'dialog-foot' }, no, yes),
    )
    const dialog = el('dialog', { class: 'dialog', 'aria-labelledby': 'dialog-title' }, form)
    let isConfirmed = false
    form.addEventListener('submit', (event) => {
      event.preventDefault()
      yes.disabled = true
      const work = onConfirm?.() ?? Promise.resolve()
      work.then(
        () => {
          isConfirmed = true
          dialog.close()
        },
        (error: unknown) => {
          yes.disabled = false
          failure.hidden = false
          failure.textContent = error instanceof Error ? error.message : String(error)
        },
      )
    })
    if (no) no.addEventListener('click', () => dialog.close())
    dialog.addEventListener('click', (event) => {
      if (event.target === dialog) dialog.close()
    })
    dialog.addEventListener('close', () => {
      dialog.remove()
      resolve(isConfirmed)
    })
    document.body.append(dialog)
    dialog.showModal()
  })
}

/** The new title; null when the user changed their mind. */
export async function askTitle(
  title: string,
  save: (title: string) => Promise<void>,
): Promise<boolean> {
  const input = el('input', { type: 'text', maxlength: 200, 'aria-label': 'Title', class: 'field' })
  input.value = title
  input.setAttribute('autofocus', '')
  input.addEventListener('focus', () => input.select(), { once: true })
  return await openDialog({
    title: 'Rename chat',
    body: [input],
    confirm: 'Rename',
    cancel: 'Cancel',
    onConfirm: async () => {
      const wanted = input.value.trim()
      if (wanted === '') throw new Error('A title needs at least one character.')
      await save(wanted)
    },
  })
}

export function confirmErase(title: string, erase: () => Promise<void>): Promise<boolean> {
  return openDialog({
    title: 'Delete this chat?',
    text: `“${title}” and all its messages will be gone, on every device. This cannot be undone.`,
    confirm: 'Delete',
    cancel: 'Cancel',
    isDangerous: true,
    onConfirm: erase,
  })
}

export function askToken(login: (token: string) => Promise<void>): Promise<boolean> {
  const input = el('input', {
    type: 'password',
    class: 'field',
    'aria-label': 'Access token',
    placeholder: 'Access token',
    autocomplete: 'off',
    spellcheck: 'false',
    autofocus: true,
  })
  return openDialog({
    title: 'Sign in',
    text: 'Paste the access token (a JWT) that you were given.',
    body: [input],
    confirm: 'Sign in',
    cancel: 'Not now',
    onConfirm: async () => {
      const token = input.value.trim()
      if (!/^[\w-]+\.[\w-]+\.[\w-]*$/.test(token))
        throw new Error('That does not look like a token.')
      await login(token)
    },
  })
}

export async function showShortcuts(mac: boolean): Promise<void> {
  const command = mac ? '⌘' : 'Ctrl'
  const rows: [string, string[]][] = [
    ['Send', ['Enter']],
    ['New line', ['Shift', 'Enter']],
    ['Stop the answer', ['Esc']],
    ['New chat', [command, 'Shift', 'O']],
    ['Search', [command, 'K']],
    ['Message field', ['/']],
  ]
  const list = el(
    'dl',
    { class: 'keys' },
    ...rows.flatMap(([what, keys]) => [
      el('dt', {}, what),
      el('dd', {}, ...keys.map((key) => el('kbd', {}, key))),
    ]),
  )
  await openDialog({ title: 'Keyboard shortcuts', body: [list], confirm: 'Done' })
}
