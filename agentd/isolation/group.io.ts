// One control group on disk: made with its limits, read, emptied, removed. A group is a folder of
// each controller with v1, and one folder with v2.

import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { killQuietly } from '#agentd/images/marked-processes.io.ts'
import type { InstanceUsage } from '#shared/model.ts'
import type { InstanceLimits } from '#shared/wire.ts'
import {
  type Controller,
  eventFiles,
  limitFiles,
  limitsOf,
  limitTexts,
  pidsOf,
  shortagesOf,
  usageFiles,
  usageOf,
} from './group-files.ts'
import type { Place } from './hierarchy.ts'

/** A group whose processes are killed is empty after a few of these. */
const ROUNDS_MAX = 250
const ROUND_MS = 20

/** Rejects with what the system says when a limit cannot be set; then there is no group. */
export async function makeGroup(place: Place, name: string, limits: InstanceLimits): Promise<void> {
  // One that is left of a former start has its counters, and maybe its processes.
  await removeGroup(place, name)
  try {
    for (const folder of foldersOf(place, name)) await mkdir(folder, { mode: 0o755 })
    for (const { controller, name: file, text, isOptional } of limitFiles(place.version, limits)) {
      const path = join(place.folders[controller], name, file)
      await writeFile(path, text, { flag: 'r+' }).catch((error: NodeJS.ErrnoException) => {
        if (!isOptional || error.code !== 'ENOENT') throw error
      })
    }
  } catch (error) {
    await removeGroup(place, name)
    throw error
  }
}

/** Files into which a process writes its pid to enter the group with all that it starts. */
export function entriesOf(place: Place, name: string): string[] {
  return foldersOf(place, name).map((folder) => join(folder, 'cgroup.procs'))
}

/** Kills all that is in it, also what is just being forked; nothing when there is no such group. */
export async function emptyGroup(place: Place, name: string): Promise<void> {
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    if ((await processesOf(place, name)).length === 0) return
    if (place.version === 'v2') await killV2(place, name)
    else await killV1(place, name)
    await sleep(ROUND_MS)
  }
}

/** Empties and deletes it. */
export async function removeGroup(place: Place, name: string): Promise<void> {
  await emptyGroup(place, name)
  for (const folder of await foldersWithin(place, name)) await removeFolder(folder)
}

export async function processesOf(place: Place, name: string): Promise<number[]> {
  const files = (await foldersWithin(place, name)).map((folder) => join(folder, 'cgroup.procs'))
  const texts = await Promise.all(files.map(readOrEmpty))
  return [...new Set(texts.flatMap(pidsOf))]
}

/** Names of the groups of a place. */
export async function groupsIn(place: Place): Promise<string[]> {
  const names = new Set<string>()
  for (const folder of new Set(Object.values(place.folders))) {
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
    for (const entry of entries) if (entry.isDirectory()) names.add(entry.name)
  }
  return [...names].sort()
}

export async function shortagesIn(place: Place, name: string) {
  const { version } = place
  const [events, limits] = await Promise.all([
    readBoth(place, name, eventFiles[version]),
    readBoth(place, name, limitTexts[version]),
  ])
  return shortagesOf(events, limitsOf(limits))
}

/** `cpuUs`: since the group was made. undefined: there is no such group. */
export async function readUsage(
  place: Place,
  name: string,
): Promise<(Omit<InstanceUsage, 'cpu'> & { cpuUs: number }) | undefined> {
  const files = usageFiles[place.version]
  const read = (controller: Controller, file: string) =>
    readOrEmpty(join(place.folders[controller], name, file))
  const [cpu, memory, stat, procs] = await Promise.all([
    read('cpuacct', files.cpu),
    read('memory', files.memory),
    read('memory', files.stat),
    read('pids', 'cgroup.procs'),
  ])
  if (memory === '') return undefined
  const processes = pidsOf(procs).length
  return { ...usageOf(place.version, { cpu, memory, stat }), processes }
}

function foldersOf(place: Place, name: string): string[] {
  return [...new Set(Object.values(place.folders))].map((folder) => join(folder, name))
}

/** With the groups that a program made in its own, where it may; the innermost first. */
async function foldersWithin(place: Place, name: string): Promise<string[]> {
  const deep = async (folder: string): Promise<string[]> => {
    // One that is not there has none.
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
    const inner = entries.filter((entry) => entry.isDirectory())
    const below = await Promise.all(inner.map((entry) => deep(join(folder, entry.name))))
    return [...below.flat(), folder]
  }
  return (await Promise.all(foldersOf(place, name).map(deep))).flat()
}

async function killV2(place: Place, name: string): Promise<void> {
  const file = join(place.folders.pids, name, 'cgroup.kill')
  try {
    await writeFile(file, '1', { flag: 'r+' })
  } catch {
    // Linux before 5.14 has no such file.
    for (const pid of await processesOf(place, name)) killQuietly(pid)
  }
}

/** Frozen, nothing in it can fork while the list is read. */
async function killV1(place: Place, name: string): Promise<void> {
  const file = join(place.folders.freezer, name, 'freezer.state')
  // What cannot be frozen is killed in rounds all the same.
  const set = (text: string) => writeFile(file, text, { flag: 'r+' }).catch(() => undefined)
  await set('FROZEN')
  for (const pid of await processesOf(place, name)) killQuietly(pid)
  await set('THAWED')
}

/** What was killed is counted until the kernel has finished with it. */
async function removeFolder(folder: string): Promise<void> {
  for (let round = 0; ; round += 1) {
    try {
      return await rmdir(folder)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'ENOENT') return
      if (code !== 'EBUSY' || round === ROUNDS_MAX) throw error
      await sleep(ROUND_MS)
    }
  }
}

async function readBoth(place: Place, name: string, files: { memory: string; pids: string }) {
  const [memory, pids] = await Promise.all([
    readOrEmpty(join(place.folders.memory, name, files.memory)),
    readOrEmpty(join(place.folders.pids, name, files.pids)),
  ])
  return { memory, pids }
}

/** Empty when the group is gone, or its kernel does not have the file. */
function readOrEmpty(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '')
}
