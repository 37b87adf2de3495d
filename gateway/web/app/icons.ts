/** Strokes on a grid of 20. */
const strokes = {
  plus: 'M10 4.5v11M4.5 10h11',
  close: 'M5.5 5.5l9 9M14.5 5.5l-9 9',
  search: 'M9 14.5a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11zM13 13l3.5 3.5',
  keyboard:
    'M4 5.5h12a1.5 1.5 0 0 1 1.5 1.5v6a1.5 1.5 0 0 1-1.5 1.5H4A1.5 1.5 0 0 1 2.5 13V7A1.5 1.5 0 0 1 4 5.5zM5.5 8.5h.01M8.5 8.5h.01M11.5 8.5h.01M14.5 8.5h.01M7 11.75h6',
  menu: 'M3.5 6h13M3.5 10h13M3.5 14h8',
  more: 'M5 10h.01M10 10h.01M15 10h.01',
  compose:
    'M10.5 4H5.5A1.5 1.5 0 0 0 4 5.5v9A1.5 1.5 0 0 0 5.5 16h9a1.5 1.5 0 0 0 1.5-1.5v-5M8 12l.4-2.2L14.5 3.7a1.27 1.27 0 0 1 1.8 1.8L10.2 11.6z',
  down: 'M10 4.5v11M5.5 11l4.5 4.5 4.5-4.5',
  up: 'M10 15.5v-11M5.5 9L10 4.5 14.5 9',
  stop: 'M6.5 6.5h7v7h-7z',
  copy: 'M7.5 7.5h8v8h-8zM12.5 7.5v-3h-8v8h3',
  check: 'M4.5 10.5l3.5 3.5 7.5-8',
  redo: 'M15.5 4.5v4h-4M15.2 8.5A6 6 0 1 0 16 11.5',
  left: 'M12 5.5L7.5 10l4.5 4.5',
  right: 'M8 5.5l4.5 4.5L8 14.5',
  pencil: 'M4.5 15.5l.7-3.2 8-8a1.5 1.5 0 0 1 2.1 0l.4.4a1.5 1.5 0 0 1 0 2.1l-8 8z',
  trash: 'M4.5 6h11M8 6V4.5h4V6M6 6l.6 9.5h6.8L14 6',
} as const

export type IconName = keyof typeof strokes

const svgNamespace = 'http://www.w3.org/2000/svg'

export function icon(name: IconName): SVGSVGElement {
  const svg = document.createElementNS(svgNamespace, 'svg')
  svg.setAttribute('viewBox', '0 0 20 20')
  svg.setAttribute('aria-hidden', 'true')
  svg.classList.add('icon', `icon-${name}`)
  const path = document.createElementNS(svgNamespace, 'path')
  path.setAttribute('d', strokes[name])
  svg.append(path)
  return svg
}

/** Puts the icons into `index.html`. */
export function fillIcons(): void {
  for (const element of document.querySelectorAll<HTMLElement>('[data-icon]')) {
    const name = element.dataset['icon'] ?? ''
    if (Object.hasOwn(strokes, name)) element.prepend(icon(name as IconName))
  }
}
