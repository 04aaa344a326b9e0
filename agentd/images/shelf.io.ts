// The agent's images on disk: `builds/<key>/files` is what instances run in. A build happens where
// it runs, since many tools write absolute paths into what they make, and `built.json` beside it
// comes last: without it the build does not count. Output of the last build: `logs/<key>.log`.

import { createHash } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { execa } from 'execa'
import { BUILD_MARK } from './build.io.ts'
import { openBuildLogs } from './build-logs.io.ts'
import type { Built, Shelf } from './image-ports.ts'
import { killMarked } from './marked-processes.io.ts'
import { openWorkspaces } from './workspaces.io.ts'

const SYNC_TIMEOUT_MS = 60_000

export async function openShelf(folder: string): Promise<Shelf> {
  const builds = join(folder, 'builds')
  await mkdir(builds, { recursive: true, mode: 0o700 })
  // npm looks upwards for a folder to install into, and takes the first that has one of these: it
  // must not find somebody else's above this one.
  await mkdir(join(folder, 'node_modules'), { recursive: true })
  const workspaces = await openWorkspaces(join(folder, 'work'))
  const logs = await openBuildLogs(join(folder, 'logs'))

  async function remove(key: string): Promise<void> {
    await killMarked(BUILD_MARK, markOf(builds, key))
    await workspaces.discard(join(builds, key))
  }

  return {
    async find(key) {
      if ((await readMarker(builds, key)) === undefined) return undefined
      return join(builds, key, 'files')
    },

    workspace: workspaces.open,

    async place(key, unpacked) {
      await remove(key)
      await mkdir(join(builds, key), { mode: 0o755 })
      const files = join(builds, key, 'files')
      await rename(unpacked, files)
      return { folder: files, mark: markOf(builds, key) }
    },

    finish: (built) => writeMarker(builds, built),

    async finished() {
      const keys = await readdir(builds)
      const markers = await Promise.all(keys.map((key) => readMarker(builds, key)))
      return markers.filter((built) => built !== undefined)
    },

    remove,

    async sweep(isBusy) {
      for (const key of await readdir(builds)) {
        // Asked before and after: one may be finished, or begun, while its marker is read.
        if (isBusy(key) || (await readMarker(builds, key)) !== undefined || isBusy(key)) continue
        await remove(key)
      }
      await workspaces.sweep()
      await logs.sweep()
    },

    async diskUsed() {
      const disk = await statfs(folder)
      const used = disk.blocks - disk.bfree
      // As df counts: what is reserved for root is neither used nor free.
      return used + disk.bavail === 0 ? 1 : used / (used + disk.bavail)
    },

    buildLogFile: logs.fileOf,
    buildLog: logs.tailOf,
  }
}

function markerOf(builds: string, key: string): string {
  return join(builds, key, 'built.json')
}

async function readMarker(builds: string, key: string): Promise<Built | undefined> {
  const text = await readFile(markerOf(builds, key), 'utf8').catch(nothingWhenAbsent)
  return text === undefined ? undefined : parseBuilt(text, key)
}

async function writeMarker(builds: string, built: Built): Promise<void> {
  const marker = markerOf(builds, built.key)
  // The files before the marker, also through a power cut: one syncfs for the whole tree.
  await execa('sync', ['-f', dirname(marker)], { timeout: SYNC_TIMEOUT_MS })
  const temporary = `${marker}.new`
  await using handle = await open(temporary, 'w', 0o600)
  await handle.writeFile(JSON.stringify(built))
  await handle.sync()
  await rename(temporary, marker)
  await using parent = await open(dirname(marker), 'r')
  await parent.sync()
}

/** Unique on the machine: several agents may build one digest at the same time. */
function markOf(builds: string, key: string): string {
  const place = createHash('sha256').update(join(builds, key)).digest('hex')
  return `${key.slice(0, 12)}.${place.slice(0, 16)}`
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
