// Finds the processes of one cluster by the mark in their environment, which whatever they start
// inherits. A pid alone names nobody for good: before a signal is sent, the start time is
// compared (field 22 of /proc/PID/stat).

import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, realpathSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** The program that the controller starts, and that outlives it. */
export const BALANCER = 'balancer'
const BALANCER_MAIN = 'ctld/balancer/data-plane/main.ts'

/** In the environment of the daemons: the state folder, and which of them it is. */
export const FOLDER_MARK = 'TUCANO_UP'
export const NAME_MARK = 'TUCANO_UP_DAEMON'
/** What an agent gives to all that it runs: a digest of its data folder. */
const AGENT_MARK = 'TUCANO_AGENT'
/** Builds run with their own folder, which lies in the agent's, as their home. */
const BUILD_MARK = 'TUCANO_BUILD'

const LOOK_MS = 25
const ROUNDS_MAX = 200

export type Found = { pid: number; startTime: string; name: string }

/** Daemons of this state folder, whoever started them. */
export function daemonsOf(folder: string): Found[] {
  return marked((variables) => variables.get(FOLDER_MARK) === folder)
}

/** Programs and builds that the agents of these data folders run. */
export function programsOf(agentFolders: readonly string[]): Found[] {
  const tags = new Set(agentFolders.flatMap(tagOf))
  const isBuild = (variables: Map<string, string>) =>
    variables.has(BUILD_MARK) &&
    agentFolders.some((folder) => variables.get('HOME')?.startsWith(`${folder}/`))
  return marked((variables) => tags.has(variables.get(AGENT_MARK) ?? '') || isBuild(variables))
}

export function isRunning({ pid, startTime }: Pick<Found, 'pid' | 'startTime'>): boolean {
  return startTimeOf(pid) === startTime
}

/** Whether it was there to get it. */
export function signal(found: Pick<Found, 'pid' | 'startTime'>, name: NodeJS.Signals): boolean {
  if (!isRunning(found)) return false
  try {
    return process.kill(found.pid, name)
  } catch {
    return false // It ended in between.
  }
}

/** Whether all have ended within the time. */
export async function haveEnded(list: readonly Found[], ms: number): Promise<boolean> {
  const ends = performance.now() + ms
  while (list.some(isRunning)) {
    if (performance.now() >= ends) return false
    await sleep(LOOK_MS)
  }
  return true
}

/** SIGKILL to what `find` gives until it gives nothing; how many it were. */
export async function killAll(find: () => Found[]): Promise<number> {
  const killed = new Set<string>()
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    const left = find()
    if (left.length === 0) break
    for (const one of left) {
      if (signal(one, 'SIGKILL')) killed.add(`${one.pid} ${one.startTime}`)
    }
    await sleep(LOOK_MS)
  }
  return killed.size
}

/** undefined: there is no such process, or it is dead and waits for its parent. */
export function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19]
  } catch {
    return undefined // It is gone.
  }
}

function marked(fits: (variables: Map<string, string>) => boolean): Found[] {
  return readdirSync('/proc').flatMap((entry) => {
    const pid = Number(entry)
    if (!Number.isInteger(pid) || pid === process.pid) return []
    const startTime = startTimeOf(pid)
    const variables = environmentOf(pid)
    if (startTime === undefined || !fits(variables)) return []
    const name = variables.get(NAME_MARK) ?? `process ${pid}`
    return [{ pid, startTime, name: isBalancer(pid) ? BALANCER : name }]
  })
}

function isBalancer(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(BALANCER_MAIN)
  } catch {
    return false // It is gone.
  }
}

function environmentOf(pid: number): Map<string, string> {
  try {
    const pairs = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0')
    return new Map(
      pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
    )
  } catch {
    return new Map() // Another user's, or gone since the folder was listed.
  }
}

/** The same digest that the agent makes; none for a folder that is not there. */
function tagOf(dataFolder: string): string[] {
  try {
    return [createHash('sha256').update(realpathSync(dataFolder)).digest('hex').slice(0, 16)]
  } catch {
    return []
  }
}
