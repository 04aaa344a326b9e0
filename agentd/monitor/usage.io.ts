// What each instance uses: CPU, memory and processes of its whole process group, read from /proc in
// one pass that all instances share. systeminformation starts `ps` for each call, tens of
// milliseconds of CPU, and knows no process groups.

import { readdirSync, readFileSync } from 'node:fs'
import type { InstanceUsage } from '#shared/model.ts'

/** The kernel counts CPU time for user space in 1/100 s on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100
/** A pass this young is used again, so one report costs one pass. */
export const PASS_AGE_MS_MAX = 500

export type Usage = {
  /** Of the group that `pgid` leads; undefined: nothing of it lives. cpu is 0 at first sight. */
  usageOfGroup(pgid: number): InstanceUsage | undefined
}

type Group = { ticks: number; pages: number; processes: number }
type Pass = { at: number; groups: Map<number, Group>; cpu: Map<number, number> }

/** `now` is monotonic, in milliseconds. */
export function createUsage(now: () => number, passAgeMs: number = PASS_AGE_MS_MAX): Usage {
  const bytesPerPage = pageBytes()
  let last: Pass = { at: Number.NEGATIVE_INFINITY, groups: new Map(), cpu: new Map() }

  function fresh(): Pass {
    const at = now()
    if (at - last.at < passAgeMs) return last
    const groups = readGroups()
    const seconds = (at - last.at) / 1_000
    const cpu = new Map<number, number>()
    for (const [pgid, group] of groups) {
      const before = last.groups.get(pgid)
      if (before === undefined) continue
      // Less than before: a child ended that its parent never asked for. Its time is forgotten.
      const ticks = Math.max(0, group.ticks - before.ticks)
      cpu.set(pgid, ticks / TICKS_PER_SECOND / seconds)
    }
    last = { at, groups, cpu }
    return last
  }

  return {
    usageOfGroup(pgid) {
      const { groups, cpu } = fresh()
      const group = groups.get(pgid)
      if (group === undefined) return undefined
      return {
        cpu: cpu.get(pgid) ?? 0,
        // Pages that processes share are counted for each of them, as `ps` does.
        memory: group.pages * bytesPerPage,
        processes: group.processes,
      }
    },
  }
}

/** Synchronous on purpose: /proc answers from memory, quicker than the thread pool would. */
function readGroups(): Map<number, Group> {
  const groups = new Map<number, Group>()
  for (const name of readdirSync('/proc')) {
    const first = name.charCodeAt(0)
    if (first < 0x30 || first > 0x39) continue
    const found = parseStat(readStat(name))
    if (found === undefined) continue
    const group = groups.get(found.pgid) ?? { ticks: 0, pages: 0, processes: 0 }
    group.ticks += found.ticks
    group.pages += found.pages
    group.processes += 1
    groups.set(found.pgid, group)
  }
  return groups
}

/** Empty when the process ended since the folder was listed. */
function readStat(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return ''
  }
}

/**
 * Fields of proc(5) after the name, which stands in brackets and may contain anything; undefined
 * for what is dead. A process's time includes that of its ended children: what a child used moves
 * to its parent when it is reaped, so the sum over a group neither jumps nor forgets.
 */
export function parseStat(
  stat: string,
): { pgid: number; ticks: number; pages: number } | undefined {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const [state, , pgrp] = fields
  if (pgrp === undefined || state === 'Z' || state === 'X') return undefined
  const [utime, stime, cutime, cstime] = fields.slice(11, 15).map(Number)
  const ticks = (utime ?? 0) + (stime ?? 0) + (cutime ?? 0) + (cstime ?? 0)
  return { pgid: Number(pgrp), ticks, pages: Number(fields[21] ?? 0) }
}

/** 4 KiB on x86, but 16 or 64 KiB on some arm64 kernels. */
function pageBytes(): number {
  const kibibytes = /^KernelPageSize:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/smaps', 'utf8'))
  return Number(kibibytes?.[1] ?? 4) * 1_024
}
