// The folder for what must not lie on a disk: in the machine's shared memory, or, where there is
// none, in the agent's data folder. It goes with the machine's power, as what needs it does.

import { chmod, lstat, mkdir, readFile, rename, rm, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { Vault } from '#agentd/ports.ts'
import { type SecretGiven, secretGivenSchema } from '#shared/wire.ts'

const SHARED_MEMORY = '/dev/shm'
const TMPFS_MAGIC = 0x01021994
const VALUES = 'values.json'
/** Others may go through it to their own folders, and see nothing of it. */
const MODE = 0o711

export type MemoryFolder = {
  path: string
  /** false: it is on a disk. */
  isMemory: boolean
}

/** `tag` names the agent among those of this machine. */
export async function openMemoryFolder(options: {
  dataFolder: string
  tag: string
  sharedMemory?: string
}): Promise<MemoryFolder> {
  const { dataFolder, tag, sharedMemory = SHARED_MEMORY } = options
  const path = join(sharedMemory, `tucano-${tag}`)
  if ((await isInMemory(sharedMemory)) && (await isOurs(path))) return { path, isMemory: true }
  const onDisk = join(dataFolder, 'secrets')
  await mkdir(onDisk, { recursive: true })
  await chmod(onDisk, MODE)
  return { path: onDisk, isMemory: false }
}

/** Where there is no shared memory nothing is kept: values are not written to a disk. */
export function openVault({ path, isMemory }: MemoryFolder): Vault {
  const file = join(path, VALUES)
  return {
    async load() {
      const text = await readFile(file, 'utf8').catch(() => '[]')
      return parsed(text)
    },
    async save(values) {
      if (!isMemory) return
      if (values.length === 0) return rm(file, { force: true })
      const fresh = `${file}.new`
      await rm(fresh, { force: true })
      await writeFile(fresh, JSON.stringify(values), { mode: 0o400, flag: 'wx' })
      await rename(fresh, file)
    },
  }
}

/** What is damaged is as good as absent: the controller sends it again. */
function parsed(text: string): SecretGiven[] {
  try {
    return z.array(secretGivenSchema).parse(JSON.parse(text))
  } catch {
    // No word of it may be shown.
    return []
  }
}

async function isInMemory(folder: string): Promise<boolean> {
  const seen = await statfs(folder).catch(() => undefined)
  return seen?.type === TMPFS_MAGIC
}

/** Anybody may make folders there: one that somebody else made is not taken. */
async function isOurs(path: string): Promise<boolean> {
  await mkdir(path, { mode: 0o700 }).catch(() => {
    // It is there already, or cannot be made: what is there says which.
  })
  const seen = await lstat(path).catch(() => undefined)
  if (seen === undefined || !seen.isDirectory() || seen.uid !== process.getuid?.()) return false
  await chmod(path, MODE)
  return true
}
