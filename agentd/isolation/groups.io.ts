// The control groups of one agent, below its own place in the tree and nowhere else. Each instance
// and each build has one, entered before its program runs, so that whatever it starts is in it too,
// however it hides. What a dead agent left is taken up by its name.

import { existsSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Shortage } from '#agentd/ports.ts'
import { messageOf } from '#shared/errors.ts'
import type { InstanceUsage } from '#shared/model.ts'
import type { InstanceLimits, Isolation } from '#shared/wire.ts'
import {
  emptyGroup,
  entriesOf,
  groupsIn,
  makeGroup,
  processesOf,
  readUsage,
  removeGroup,
  shortagesIn,
} from './group.io.ts'
import { AGENT_GROUP, type Found, findV1, findV2, type Place } from './hierarchy.ts'

/** Where an agent once made groups: with v1 it may be started in another place than before. */
const PLACES_FILE = 'groups.json'
const PLACES_MAX = 8
/** Of the agent beside its programs, whose groups have 100: it must report on time (F34). */
const AGENT_WEIGHT = '1000'
const V1_SHARES = 1_024
const NEEDED_V2 = ['memory', 'cpu', 'pids']

export type Groups = Disposable & {
  mode: Isolation['mode']
  why: string
  /** An empty group; gives the files by which it is entered, none without control groups. */
  make(name: string, limits: InstanceLimits): Promise<string[]>
  /** Those files of a group that is there; none: there is none. */
  entriesOf(name: string): string[]
  /** Kills all that is in it. */
  empty(name: string): Promise<void>
  /** Kills all that is in it, and deletes it. */
  remove(name: string): Promise<void>
  /** Pids of what runs in it. */
  processes(name: string): Promise<number[]>
  /** Names of the groups in which something runs. */
  busy(): Promise<string[]>
  shortages(name: string): Promise<Shortage[]>
  /** cpu is 0 at first sight; undefined: there is no such group. */
  usage(name: string): Promise<InstanceUsage | undefined>
}

/** Empty groups that a former agent left are deleted. `now` is monotonic, in milliseconds. */
export async function openGroups(options: {
  dataFolder: string
  tag: string
  now: () => number
}): Promise<Groups> {
  const { dataFolder, tag, now } = options
  const { place, why } = await settle(tag)
  const kept = await placesOf(dataFolder, place)
  const samples = new Map<string, { at: number; cpuUs: number }>()

  /** Every place that may have a group of that name. */
  async function each<T>(name: string, call: (place: Place, name: string) => Promise<T>) {
    return Promise.all(kept.map((one) => call(one, name)))
  }

  return {
    mode: place?.version ?? 'none',
    why,
    async make(name, limits) {
      if (place === undefined) return []
      await each(name, removeGroup)
      await makeGroup(place, name, limits)
      await share(place)
      return entriesOf(place, name)
    },
    entriesOf(name) {
      const files = kept.map((one) => entriesOf(one, name))
      return files.find((each) => each.every((file) => existsSync(file))) ?? []
    },
    async empty(name) {
      await each(name, emptyGroup)
    },
    async remove(name) {
      samples.delete(name)
      await each(name, removeGroup)
    },
    async processes(name) {
      return (await each(name, processesOf)).flat()
    },
    async busy() {
      const names = await Promise.all(kept.map(busyIn))
      return [...new Set(names.flat())].sort()
    },
    async shortages(name) {
      return (await each(name, shortagesIn)).flat()
    },
    async usage(name) {
      const found = (await each(name, readUsage)).find((used) => used !== undefined)
      if (found === undefined) return undefined
      const { cpuUs, ...rest } = found
      const before = samples.get(name)
      const at = now()
      samples.set(name, { at, cpuUs })
      if (before === undefined || at <= before.at) return { cpu: 0, ...rest }
      return { cpu: Math.max(0, cpuUs - before.cpuUs) / 1_000 / (at - before.at), ...rest }
    },
    [Symbol.dispose]() {
      if (place === undefined) return
      for (const folder of uniqueFolders(place)) {
        for (const entry of readdirSync(folder, { withFileTypes: true })) {
          if (entry.isDirectory()) leave(join(folder, entry.name))
        }
        leave(folder)
      }
    },
  }
}

/** Where the agent's groups are: here, and where something of a former start runs still. */
async function placesOf(dataFolder: string, place: Place | undefined): Promise<Place[]> {
  const own = place === undefined ? [] : [place]
  const isSame = (one: Place) => JSON.stringify(one) === JSON.stringify(place)
  const former = readPlaces(dataFolder).filter((one) => !isSame(one))
  await removeIdle([...own, ...former])
  const places = [...own, ...(await onlyBusy(former))].slice(0, PLACES_MAX)
  if (places.length > 0) writeFileSync(join(dataFolder, PLACES_FILE), JSON.stringify(places))
  return places
}

async function settle(tag: string): Promise<Found> {
  const read = (path: string) => readFile(path, 'utf8').catch(() => '')
  const [mounts, own] = [await read('/proc/self/mountinfo'), await read('/proc/self/cgroup')]
  const v2 = await tried(findV2(mounts, own, tag), openV2)
  if (v2.place !== undefined) return v2
  const v1 = await tried(findV1(mounts, own, tag), openV1)
  if (v1.place !== undefined) return v1
  return { place: undefined, why: `${v2.why}; ${v1.why}` }
}

/** One that cannot be used is none, with the reason. */
async function tried(found: Found, open: (place: Place) => Promise<void>): Promise<Found> {
  if (found.place === undefined) return found
  try {
    await open(found.place)
    return found
  } catch (error) {
    const why = `${found.place.version} at ${found.place.folders.memory}: ${messageOf(error)}`
    return { place: undefined, why }
  }
}

async function openV2({ folders: { memory: folder } }: Place): Promise<void> {
  const base = dirname(folder)
  const given = (await readFile(join(base, 'cgroup.controllers'), 'utf8')).trim().split(' ')
  const missing = NEEDED_V2.filter((each) => !given.includes(each))
  if (missing.length > 0) throw new Error(`no controllers ${missing.join(', ')}`)
  if (!existsSync(join(base, 'cgroup.events'))) throw new Error('the root group is not ours')
  const own = join(base, AGENT_GROUP)
  await makeFolder(own)
  const enter = (group: string) => write(join(group, 'cgroup.procs'), String(process.pid))
  await enter(own)
  try {
    await delegate(base)
  } catch (error) {
    // As it was: somebody else is in the group, which is not ours alone then.
    await enter(base)
    await rmdir(own)
    throw error
  }
  await makeFolder(folder)
  await delegate(folder)
  // Without it the agent counts as much as all its programs together, which is not little.
  await write(join(own, 'cpu.weight'), AGENT_WEIGHT).catch(() => undefined)
}

/** Groups below it may have limits from now on. */
function delegate(folder: string): Promise<void> {
  const text = NEEDED_V2.map((each) => `+${each}`).join(' ')
  return write(join(folder, 'cgroup.subtree_control'), text)
}

async function makeFolder(folder: string): Promise<void> {
  await mkdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
}

function write(file: string, text: string): Promise<void> {
  return writeFile(file, text, { flag: 'r+' })
}

async function openV1(place: Place): Promise<void> {
  for (const folder of uniqueFolders(place)) await makeFolder(folder)
}

/**
 * With v1 a group counts as much as one process beside it: as many shares as there are programs
 * leave each of them what it had without a group.
 */
async function share(place: Place): Promise<void> {
  if (place.version !== 'v1') return
  const shares = V1_SHARES * Math.max(1, (await groupsIn(place)).length)
  const file = join(place.folders.cpu, 'cpu.shares')
  // It only shifts who waits for whom on a full machine.
  await write(file, String(shares)).catch(() => undefined)
}

async function busyIn(place: Place): Promise<string[]> {
  const names = await groupsIn(place)
  const counts = await Promise.all(names.map((name) => processesOf(place, name)))
  return names.filter((_, index) => counts[index]?.length !== 0)
}

async function removeIdle(places: readonly Place[]): Promise<void> {
  for (const place of places) {
    const busy = new Set(await busyIn(place))
    for (const name of await groupsIn(place)) {
      if (!busy.has(name)) await removeGroup(place, name)
    }
  }
}

/** Former places in which something runs still; the others are left. */
async function onlyBusy(places: readonly Place[]): Promise<Place[]> {
  const busy: Place[] = []
  for (const place of places) {
    if ((await busyIn(place)).length > 0) busy.push(place)
    else for (const folder of uniqueFolders(place)) leave(folder)
  }
  return busy
}

function uniqueFolders(place: Place): string[] {
  return [...new Set(Object.values(place.folders))]
}

/** Goes when nothing is in it: groups of running programs wait for the next agent. */
function leave(folder: string): void {
  try {
    rmdirSync(folder)
  } catch {
    // It is in use, or gone.
  }
}

/** A file that cannot be read is none: what runs is found by its mark as well. */
function readPlaces(dataFolder: string): Place[] {
  try {
    return JSON.parse(readFileSync(join(dataFolder, PLACES_FILE), 'utf8')) as Place[]
  } catch {
    return []
  }
}
