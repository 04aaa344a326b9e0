// What /proc tells of a process. A pid alone names nobody for good: together with the start time
// (field 22 of stat, in clock ticks since boot) and the id of the boot it does (F24).

import { readFileSync } from 'node:fs'
import type { ProgramMark } from '#agentd/ports.ts'

export function readBoot(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
}

/** undefined: there is no such process, or it is dead and only waits for its parent (Z). */
export function startTimeOf(pid: number): string | undefined {
  const fields = readStat(pid)
  const state = fields?.[0]
  return state === undefined || state === 'Z' || state === 'X' ? undefined : fields?.[19]
}

/** Of a child that has just been made: also when it is dead already. */
export function markOf(pid: number, boot: string): ProgramMark {
  const startTime = readStat(pid)?.[19]
  if (startTime === undefined) throw new Error(`process ${pid} vanished at its start`)
  return { pid, startTime, boot }
}

export function isRunning(mark: ProgramMark, boot: string): boolean {
  return mark.boot === boot && startTimeOf(mark.pid) === mark.startTime
}

/** Fields of proc(5) from the third on; the name before them may contain anything. */
function readStat(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  } catch (error) {
    // It is gone. Anything else, such as too many open files, must not make it look so.
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ESRCH') return undefined
    throw error
  }
}
