import { ChatError } from '#client/chat-error.ts'
import { newId } from '#client/environment.ts'
import { Api, type ListedChat } from './api.ts'
import { ChatList, titleFrom, titleOf } from './chat-list.ts'
import { ChatPage } from './chat-page.ts'
import { Chats } from './chats.ts'
import { askTitle, askToken, confirmErase, showShortcuts } from './dialogs.ts'
import { byId } from './dom.ts'
import { fillEmptyState } from './empty-state.ts'
import { fillIcons } from './icons.ts'
import { openMenu } from './menu.ts'
import { Search } from './search.ts'
import { listenForShortcuts } from './shortcuts.ts'
import { Sidebar } from './sidebar.ts'

fillIcons()
const isMac = /mac|iphone|ipad/i.test(navigator.platform)
const api = new Api()
const sidebar = new Sidebar()
const title = byId('title', HTMLElement)
const empty = byId('empty', HTMLElement)
const chatMenu = byId('chat-menu', HTMLButtonElement)
const signOut = byId('sign-out', HTMLButtonElement)
/** The first question of the open chat, while the list knows no title of it. */
let firstQuestion: string | null = null
/** Chats that this page gave a title to, or tried to. */
const named = new Set<string>()

// biome-ignore lint/suspicious/noConsole: a page has no other log
const warn = (error: unknown) => console.warn(error)

const list = new ChatList(byId('chats', HTMLElement), {
  open: (sessionId) => openChat(sessionId),
  rename: (chat) => void rename(chat),
  erase: (chat) => void erase(chat),
  more: () => chats.more(),
})
const chats = new Chats({
  api,
  changed: () => {
    list.show(chats.list(), chats.hasMore)
    showTitle()
    nameChat()
  },
  // The chat itself says that the server is away or that one is signed out.
  failed: warn,
})
const page = new ChatPage({
  token: () => api.token,
  signIn: () => void signIn(),
  asked: (sessionId, question) => {
    firstQuestion ??= titleFrom(question)
    chats.touch(sessionId, firstQuestion)
  },
  answered: () => chats.refreshSoon(),
  drawn: ({ messages, state, transport, userId, isLoaded }) => {
    document.body.dataset['state'] = state
    document.body.dataset['transport'] = transport ?? ''
    byId('user', HTMLElement).textContent = userId ?? ''
    empty.hidden = messages.length > 0 || !isLoaded
    chatMenu.hidden = messages.length === 0
    const first = messages.find(({ role }) => role === 'user')
    const next = first === undefined ? null : titleFrom(first.content)
    if (next === firstQuestion) return
    firstQuestion = next
    showTitle()
  },
})

/** A chat that the server lists without a title gets its first question for one; where that is refused, nothing is lost. */
function nameChat(): void {
  const listed = chats.listed(page.sessionId ?? '')
  if (listed === undefined || listed.title !== null || firstQuestion === null) return
  if (named.has(listed.sessionId)) return
  named.add(listed.sessionId)
  chats.rename(listed.sessionId, firstQuestion).catch(warn)
}

function showTitle(): void {
  const listed = list.find(page.sessionId ?? '')
  const text = listed?.title ?? firstQuestion ?? 'New chat'
  title.textContent = text
  document.title = text === 'New chat' ? 'Sluice' : `${text} · Sluice`
}

function openChat(sessionId: string, messageId?: string): void {
  if (location.hash.slice(1) !== sessionId) history.pushState(null, '', `#${sessionId}`)
  sidebar.close()
  if (page.sessionId !== sessionId) {
    firstQuestion = null
    page.open(sessionId)
  }
  list.setCurrent(sessionId)
  showTitle()
  if (messageId !== undefined) void page.reveal(messageId)
  else page.composer.focusIfHandy()
}

function newChat(): void {
  openChat(newId())
}

async function signIn(): Promise<boolean> {
  const isIn = await askToken((token) => api.login(token))
  if (!isIn) return false
  signOut.hidden = false
  page.reopen()
  chats.refresh()
  return true
}

/** With the cookie alone nothing may be changed: the token is asked for, then the wish is done. */
async function signedIn(work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    const isOut = error instanceof ChatError && error.code === 'not_authenticated'
    if (!isOut || !(await signIn())) throw error
    await work()
  }
}

async function rename(chat: ListedChat): Promise<void> {
  await askTitle(chat.title ?? '', (text) => signedIn(() => chats.rename(chat.sessionId, text)))
}

async function erase(chat: ListedChat): Promise<void> {
  const isGone = await confirmErase(titleOf(chat), () =>
    signedIn(() => chats.erase(chat.sessionId)),
  )
  if (isGone && page.sessionId === chat.sessionId) newChat()
}

function currentChat(): ListedChat {
  const sessionId = page.sessionId ?? ''
  const now = new Date().toISOString()
  const unlisted = { sessionId, title: firstQuestion, createdAt: now, lastMessageAt: now }
  return list.find(sessionId) ?? unlisted
}

function openFromAddress(): void {
  const sessionId = location.hash.slice(1)
  if (/^[A-Za-z0-9_.:-]{1,128}$/.test(sessionId)) openChat(sessionId)
  else {
    const fresh = newId()
    history.replaceState(null, '', `#${fresh}`)
    openChat(fresh)
  }
}

const search = new Search({
  search: (words, signal) => api.search(words, signal),
  titleOf: (sessionId) => titleOf(list.find(sessionId)),
  open: (sessionId, messageId) => openChat(sessionId, messageId),
})

fillEmptyState(empty, (text) => page.composer.fill(text))
byId('search-key', HTMLElement).textContent = isMac ? '⌘K' : 'Ctrl K'
for (const id of ['new-chat', 'new-chat-narrow']) {
  byId(id, HTMLButtonElement).addEventListener('click', newChat)
}
byId('skip', HTMLButtonElement).addEventListener('click', () => page.composer.focus())
byId('shortcuts', HTMLButtonElement).addEventListener('click', () => void showShortcuts(isMac))
chatMenu.addEventListener('click', () =>
  openMenu(chatMenu, [
    { label: 'Rename', icon: 'pencil', run: () => void rename(currentChat()) },
    { label: 'Delete', icon: 'trash', isDangerous: true, run: () => void erase(currentChat()) },
  ]),
)
signOut.addEventListener('click', () => {
  api.logout().then(
    () => location.reload(),
    (error: Error) => page.say(error.message),
  )
})
listenForShortcuts({
  stop: () => page.stop(),
  closeSidebar: () => sidebar.close(),
  isSidebarOpen: () => sidebar.isOpen,
  newChat,
  search: () => {
    if (matchMedia('(max-width: 760px)').matches) sidebar.open()
    search.focus()
  },
  focusField: () => page.composer.focus(),
})
addEventListener('popstate', openFromAddress)
document.addEventListener('visibilitychange', () => {
  if (document.visibilityState === 'visible') chats.refresh()
})
openFromAddress()
chats.refresh()
