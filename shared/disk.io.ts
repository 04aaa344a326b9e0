// The machine's own disk.

import { link, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { Disk } from './disk.ts'

export const machineDisk: Disk = {
  async read(path) {
    try {
      return await readFile(path)
    } catch (error) {
      if (isAbsent(error)) return undefined
      throw error
    }
  },
  async write(path, bytes) {
    await using file = await open(path, 'w', 0o600)
    await file.writeFile(bytes)
    await file.sync()
  },
  async link(from, to) {
    try {
      await link(from, to)
      return true
    } catch (error) {
      if (isAbsent(error)) return false
      throw error
    }
  },
  rename,
  async remove(path) {
    await rm(path, { force: true })
  },
  async list(folder) {
    return (await readdir(folder)).sort()
  },
  makeFolder: (folder) => makeFolder(resolve(folder)),
  syncFolder,
}

// Not mkdir's own recursion: Node's never ends under a parent that refuses children (/proc).
async function makeFolder(folder: string): Promise<void> {
  try {
    await makeOne(folder)
  } catch (error) {
    if (!isAbsent(error)) throw error
    await makeFolder(dirname(folder))
    await makeOne(folder)
  }
}

async function makeOne(folder: string): Promise<void> {
  try {
    await mkdir(folder, { mode: 0o700 })
  } catch (error) {
    const exists = (error as NodeJS.ErrnoException).code === 'EEXIST'
    if (exists && (await stat(folder)).isDirectory()) return
    throw error
  }
  await syncFolder(dirname(folder))
}

async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, 'r')
  await handle.sync()
}

function isAbsent(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT'
}
