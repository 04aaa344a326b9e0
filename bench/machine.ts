// What the figures were measured on, and what a process has used, from /proc.

import { readFileSync } from 'node:fs'
import { cpus, loadavg, totalmem } from 'node:os'

/** The kernel counts in 1/100 s for user space on every architecture that Node runs on. */
const TICK_MS = 10

export type MachineFacts = {
  node: string
  cpu: string
  cores: number
  memoryGiB: number
  /** Of the last minute, before the measurement: what else runs here. */
  loadBefore: number
}

export function machineFacts(): MachineFacts {
  return {
    node: process.version,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    loadBefore: Math.round((loadavg()[0] ?? 0) * 100) / 100,
  }
}

/**
 * `ownMiB`: anonymous memory, which is the process's alone. The rest of `rssMiB` is pages of files,
 * most of them of Node itself, which all processes of one Node share.
 */
export type Memory = { rssMiB: number; ownMiB: number; peakMiB: number }

/** Throws when the process has ended. */
export function memoryOf(pid: number): Memory {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const mebibytes = (key: string) => {
    const kibibytes = Number(new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1])
    return Math.round(kibibytes / 102.4) / 10
  }
  return {
    rssMiB: mebibytes('VmRSS'),
    ownMiB: mebibytes('RssAnon'),
    peakMiB: mebibytes('VmHWM'),
  }
}

/** Time on a processor since the start, to 10 ms. */
export function cpuMsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // proc(5): the name before stands in brackets and may contain anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS
}
