// The machine's own disk.

import { link, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
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
  async makeFolder(folder) {
    const first = await mkdir(folder, { recursive: true, mode: 0o700 })
    if (first === undefined) return
    for (let made = resolve(folder); made.length >= first.length; made = dirname(made)) {
      await syncFolder(dirname(made))
    }
  },
  syncFolder,
}

async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, 'r')
  await handle.sync()
}

function isAbsent(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT'
}
