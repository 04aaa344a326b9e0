// Finds and kills processes by a variable in their environment. A child inherits it whatever it
// does with sessions and groups, so a daemon that left its group is found too.

import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

const ROUNDS_MAX = 100
const ROUND_MS = 20

/** Pids of living processes that were started with `name=value`; zombies have no environment. */
export async function markedProcesses(name: string, value: string): Promise<number[]> {
  const needle = Buffer.from(`\0${name}=${value}\0`)
  const marked: number[] = []
  for (const entry of await readdir('/proc')) {
    const pid = Number(entry)
    if (!Number.isInteger(pid) || pid === process.pid) continue
    // Not ours to read, or gone since the folder was listed: either way it is not marked.
    const environ = await readFile(`/proc/${pid}/environ`).catch(() => Buffer.alloc(0))
    if (Buffer.concat([Buffer.from('\0'), environ]).includes(needle)) marked.push(pid)
  }
  return marked
}

/** SIGKILL until none is left: one that forks meanwhile is met in the next round. */
export async function killMarked(name: string, value: string): Promise<void> {
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    const pids = await markedProcesses(name, value)
    if (pids.length === 0) return
    for (const pid of pids) killQuietly(pid)
    await sleep(ROUND_MS)
  }
}

/** A negative pid is a group. That it is gone already is what was wanted (ESRCH). */
export function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    // EPERM: a program that changed its user is beyond our reach, and no reason to stop.
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ESRCH' && code !== 'EPERM') throw error
  }
}
