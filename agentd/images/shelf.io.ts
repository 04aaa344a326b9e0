// The agent's images on disk:
//
//   <folder>/builds/<key>/files       what instances run in
//   <folder>/builds/<key>/built.json  written last: without it the build does not count
//   <folder>/work/<uuid>              downloads under way
//   <folder>/logs/<key>.log           output of the last build, also of a failed one
//
// A build happens where it runs, since many tools write absolute paths into what they make.

import { createHash, randomUUID } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, rm, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { tail } from '#agentd/runner/log-file.io.ts'
import { BUILD_MARK } from './build.io.ts'
import type { Built, Shelf } from './image-ports.ts'
import { killMarked } from './marked-processes.io.ts'
import { removeTree } from './remove-tree.io.ts'

const LOGS_MAX = 50
const SYNC_TIMEOUT_MS = 60_000

export async function openShelf(folder: string): Promise<Shelf> {
  const builds = join(folder, 'builds')
  const work = join(folder, 'work')
  const logs = join(folder, 'logs')
  for (const each of [builds, work, logs]) await mkdir(each, { recursive: true, mode: 0o700 })
  const workspaces = new Set<string>()
  const markerOf = (key: string) => join(builds, key, 'built.json')
  const logOf = (key: string) => join(logs, `${key}.log`)

  /** Moved away first, so that a build is never found half deleted. */
  async function remove(key: string): Promise<void> {
    await killMarked(BUILD_MARK, markOf(builds, key))
    const trash = join(work, randomUUID())
    await rename(join(builds, key), trash).catch(nothingWhenAbsent)
    await removeTree(trash)
  }

  async function readMarker(key: string): Promise<Built | undefined> {
    const text = await readFile(markerOf(key), 'utf8').catch(nothingWhenAbsent)
    return text === undefined ? undefined : parseBuilt(text, key)
  }

  return {
    async find(key) {
      if ((await readMarker(key)) === undefined) return undefined
      return join(builds, key, 'files')
    },

    async workspace() {
      const name = randomUUID()
      const place = join(work, name)
      workspaces.add(name)
      await mkdir(place)
      return {
        file: join(place, 'image.tar.gz'),
        unpacked: join(place, 'files'),
        async dispose() {
          await removeTree(place)
          workspaces.delete(name)
        },
      }
    },

    async place(key, unpacked) {
      await remove(key)
      await mkdir(join(builds, key), { mode: 0o755 })
      const files = join(builds, key, 'files')
      await rename(unpacked, files)
      return { folder: files, mark: markOf(builds, key) }
    },

    async finish(built) {
      const place = join(builds, built.key)
      // The files before the marker, also through a power cut: one syncfs for the whole tree.
      await execa('sync', ['-f', place], { timeout: SYNC_TIMEOUT_MS })
      const temporary = `${markerOf(built.key)}.new`
      await using handle = await open(temporary, 'w', 0o600)
      await handle.writeFile(JSON.stringify(built))
      await handle.sync()
      await rename(temporary, markerOf(built.key))
      await using parent = await open(place, 'r')
      await parent.sync()
    },

    async finished() {
      const markers = await Promise.all((await readdir(builds)).map(readMarker))
      return markers.filter((built) => built !== undefined)
    },

    remove,

    async sweep(isBusy) {
      for (const key of await readdir(builds)) {
        // Asked before and after: one may be finished, or begun, while its marker is read.
        if (isBusy(key) || (await readMarker(key)) !== undefined || isBusy(key)) continue
        await remove(key)
      }
      for (const name of await readdir(work)) {
        if (!workspaces.has(name)) await removeTree(join(work, name))
      }
      for (const { name } of (await newestLogs(logs)).slice(LOGS_MAX)) {
        await rm(join(logs, name), { force: true })
      }
    },

    async diskUsed() {
      const disk = await statfs(folder)
      const used = disk.blocks - disk.bfree
      // As df counts: what is reserved for root is neither used nor free.
      return used + disk.bavail === 0 ? 1 : used / (used + disk.bavail)
    },

    buildLogFile: logOf,

    async buildLog(digest, lines) {
      const hex = digest.slice('sha256:'.length)
      const newest = (await newestLogs(logs)).find(({ name }) => name.startsWith(`${hex}-`))
      return newest === undefined ? undefined : tail(join(logs, newest.name), lines)
    },
  }
}

/** Unique on the machine: several agents may build one digest at the same time. */
function markOf(builds: string, key: string): string {
  const place = createHash('sha256').update(join(builds, key)).digest('hex')
  return `${key.slice(0, 12)}.${place.slice(0, 16)}`
}

async function newestLogs(logs: string): Promise<{ name: string; at: number }[]> {
  const files = []
  for (const name of await readdir(logs)) {
    const found = await stat(join(logs, name)).catch(nothingWhenAbsent)
    if (found !== undefined) files.push({ name, at: found.mtimeMs })
  }
  return files.sort((a, b) => b.at - a.at)
}

/** A torn or foreign marker counts as none: then the image is built again. */
function parseBuilt(text: string, key: string): Built | undefined {
  try {
    const { digest, builtAt } = JSON.parse(text)
    if (typeof digest !== 'string' || typeof builtAt !== 'number') return undefined
    return { key, digest, builtAt }
  } catch {
    return undefined
  }
}

function nothingWhenAbsent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error
}
