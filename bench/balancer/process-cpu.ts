// Processor time of a process, its threads and its children, from /proc. The kernel's utime and
// stime are this same time cut to 1/100 s; schedstat has it in nanoseconds.

import { readdirSync, readFileSync } from 'node:fs'

const US_PER_TICK = 10_000
const NS_PER_US = 1_000

/** Since the start of each. Throws when the process has ended. */
export function processorUs(pid: number): number {
  return [pid, ...childrenOf(pid)].reduce((sum, each) => sum + usOf(each), 0)
}

/** Children and theirs. */
export function childrenOf(pid: number): number[] {
  const parents = new Map<number, number>()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const parent = parentOf(Number(name))
    if (parent !== undefined) parents.set(Number(name), parent)
  }
  const isBelow = (each: number): boolean => {
    const parent = parents.get(each)
    return parent !== undefined && (parent === pid || isBelow(parent))
  }
  return [...parents.keys()].filter(isBelow)
}

function parentOf(pid: number): number | undefined {
  try {
    return Number(statOf(pid)[1])
  } catch {
    return undefined // It ended meanwhile.
  }
}

function usOf(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`)
  let ns = 0
  for (const thread of threads) {
    const text = schedstat(pid, thread)
    if (text === undefined) {
      const fields = statOf(pid)
      return (Number(fields[11]) + Number(fields[12])) * US_PER_TICK
    }
    ns += Number(text.slice(0, text.indexOf(' ')))
  }
  return ns / NS_PER_US
}

/** undefined: a kernel without it, or the thread has just ended. */
function schedstat(pid: number, thread: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1')
  } catch {
    return undefined // Said above.
  }
}

/** proc(5), from the state on: the name before stands in brackets and may contain anything. */
function statOf(pid: number): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}
