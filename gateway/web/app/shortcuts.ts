export interface ShortcutActions {
  /** False when there is nothing to stop. */
  stop(): boolean
  isSidebarOpen(): boolean
  closeSidebar(): void
  newChat(): void
  search(): void
  focusField(): void
}

export function listenForShortcuts(actions: ShortcutActions): void {
  document.addEventListener('keydown', (event) => {
    if (event.defaultPrevented || event.isComposing) return
    // A dialog and a menu have their own keys.
    if (document.querySelector('dialog[open], [popover]:popover-open') !== null) return
    const isCommand = event.metaKey || event.ctrlKey
    const key = event.key.toLowerCase()
    if (key === 'escape') {
      if (actions.isSidebarOpen()) actions.closeSidebar()
      else if (!actions.stop()) return
    } else if (isCommand && key === 'k') actions.search()
    else if (isCommand && event.shiftKey && key === 'o') actions.newChat()
    else if (key === '/' && !isCommand && !isTyping(event.target)) actions.focusField()
    else return
    event.preventDefault()
  })
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.matches('input, textarea, [contenteditable]')
}
