// Finds processes by the mark in their environment. Children inherit it whatever they do with
// groups and sessions, so a daemon that left its group is found too. The mark names the agent as
// well: several may run on one machine, and an instance may move from one to the other.

import { readdir, readFile } from 'node:fs/promises'
import { killMarked, markedProcesses } from '#agentd/images/marked-processes.io.ts'

const MARK = 'TUCANO_MARK'

export function marking(agent: string, id: string): Record<string, string> {
  return { TUCANO_INSTANCE: id, TUCANO_AGENT: agent, [MARK]: `${agent}.${id}` }
}

/** Pids of what carries the instance's mark. */
export function marked(agent: string, id: string): Promise<number[]> {
  return markedProcesses(MARK, `${agent}.${id}`)
}

/** SIGKILL to all that carries the instance's mark, until none is left. */
export function sweep(agent: string, id: string): Promise<void> {
  return killMarked(MARK, `${agent}.${id}`)
}

/** Ids of instances of which something runs. */
export async function strays(agent: string): Promise<string[]> {
  const needle = `\0${MARK}=${agent}.`
  const found = new Set<string>()
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    // Not ours to read, or gone since the folder was listed: either way it is not marked.
    const environ = await readFile(`/proc/${entry}/environ`, 'latin1').catch(() => '')
    const at = `\0${environ}`.indexOf(needle)
    if (at === -1) continue
    found.add(environ.slice(at + needle.length - 1).split('\0')[0] ?? '')
  }
  return [...found].sort()
}
