// Places for what is under way or on its way out. After a kill -9 whatever lies here is rubbish.

import { randomUUID } from 'node:crypto'
import { mkdir, readdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { removeTree } from './remove-tree.io.ts'

export async function openWorkspaces(folder: string) {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const inUse = new Set<string>()

  function claim(): { place: string; dispose(): Promise<void> } {
    const name = randomUUID()
    const place = join(folder, name)
    inUse.add(name)
    return {
      place,
      async dispose() {
        await removeTree(place)
        inUse.delete(name)
      },
    }
  }

  return {
    async open() {
      const { place, dispose } = claim()
      await mkdir(place)
      return { file: join(place, 'image.tar.gz'), unpacked: join(place, 'files'), dispose }
    },

    /** Moved away first, so that what stood at `path` is never found half deleted. */
    async discard(path: string): Promise<void> {
      const { place, dispose } = claim()
      await rename(path, place).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error
      })
      await dispose()
    },

    async sweep(): Promise<void> {
      for (const name of await readdir(folder)) {
        if (!inUse.has(name)) await removeTree(join(folder, name))
      }
    },
  }
}
