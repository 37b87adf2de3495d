import { dlopen } from 'bun:ffi'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

// The kernel takes no more than net.core.somaxconn, which is this where nobody has set it.
const connectionsMax = 4_096
const listening = '0A'

/**
 * Lets as many connections wait for a server of this process as the kernel allows. Bun asks for 512 and has no option
 * for it: in a storm of 2,000 connections at once 100 to 300 did not fit, and each of those came back only after the
 * second that a client's kernel waits before it tries again. Asking once more for a socket that listens is allowed.
 * Linux with glibc alone; throws where it can't be done, and nothing is changed then.
 */
export function widenBacklog(port: number): void {
  const inodes = listeningInodes(port)
  const libc = dlopen('libc.so.6', { listen: { args: ['i32', 'i32'], returns: 'i32' } })
  try {
    for (const name of readdirSync('/proc/self/fd')) {
      if (inodes.has(linkOf(name))) libc.symbols.listen(Number(name), connectionsMax)
    }
  } finally {
    libc.close()
  }
}

function listeningInodes(port: number): Set<string> {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  const inodes = new Set<string>()
  for (const table of ['/proc/self/net/tcp', '/proc/self/net/tcp6']) {
    for (const line of readFileSync(table, 'utf8').split('\n')) {
      const columns = line.trim().split(/\s+/)
      if (columns[3] === listening && columns[1]?.endsWith(suffix)) {
        inodes.add(`socket:[${columns[9]}]`)
      }
    }
  }
  return inodes
}

function linkOf(name: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${name}`)
  } catch (error) {
    // The one that the folder was read by is closed by now.
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return ''
    throw error
  }
}
