import { readlinkSync } from 'node:fs'
import { constants, setPriority } from 'node:os'

/**
 * Lets the other threads of this process go first wherever they want the same core; alone on one it runs as fast as
 * before. Answers whether this system can do that for one thread: Linux can.
 */
export function letOthersFirst(): boolean {
  if (process.platform !== 'linux') return false
  try {
    // Linux takes the id of a thread where it takes that of a process, and what stands here is the caller's.
    const thread = Number(readlinkSync('/proc/thread-self').split('/').at(-1))
    if (!Number.isInteger(thread)) return false
    setPriority(thread, constants.priority.PRIORITY_BELOW_NORMAL)
    return true
  } catch {
    // A sandbox may have no /proc, or forbid it: then all threads are equal.
    return false
  }
}
