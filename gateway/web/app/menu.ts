import { el } from './dom.ts'
import { type IconName, icon } from './icons.ts'

export interface MenuItem {
  label: string
  icon: IconName
  isDangerous?: boolean
  run(): void
}

/** A menu below a button: arrow keys move, Esc or a click elsewhere closes, focus goes back. */
export function openMenu(button: HTMLElement, items: MenuItem[]): void {
  const menu = el('div', { class: 'menu', role: 'menu', popover: 'auto' })
  const close = () => {
    menu.hidePopover()
    button.focus()
  }
  const buttons = items.map((item) => {
    const entry = el('button', {
      type: 'button',
      role: 'menuitem',
      tabindex: -1,
      class: item.isDangerous ? 'danger' : '',
      onclick: () => {
        close()
        item.run()
      },
    })
    entry.append(icon(item.icon), el('span', {}, item.label))
    return entry
  })
  menu.append(...buttons)
  menu.addEventListener('keydown', (event) => {
    const at = buttons.findIndex((entry) => entry.matches(':focus'))
    const last = buttons.length - 1
    const to: Record<string, number> = {
      ArrowDown: at === last ? 0 : at + 1,
      ArrowUp: at <= 0 ? last : at - 1,
      Home: 0,
      End: last,
    }
    if (event.key === 'Tab' || event.key === 'Escape') close()
    const next = buttons[to[event.key] ?? -1]
    if (next === undefined) return
    event.preventDefault()
    next.focus()
  })
  menu.addEventListener('toggle', () => {
    const isOpen = menu.matches(':popover-open')
    button.setAttribute('aria-expanded', String(isOpen))
    if (!isOpen) menu.remove()
  })
  document.body.append(menu)
  menu.showPopover()
  place(menu, button)
  buttons[0]?.focus()
}

function place(menu: HTMLElement, button: HTMLElement): void {
  const at = button.getBoundingClientRect()
  const { offsetWidth: width, offsetHeight: height } = menu
  const left = Math.min(Math.max(8, at.right - width), innerWidth - width - 8)
  const fitsBelow = at.bottom + height + 8 < innerHeight
  menu.style.left = `${left}px`
  menu.style.top = `${fitsBelow ? at.bottom + 4 : at.top - height - 4}px`
}
