// The folder for what must not lie on a disk: in the machine's shared memory, or, where there is
// none, in the agent's data folder. It goes with the machine's power, as what needs it does.

import {
  chmod,
  lstat,
  mkdir,
  readFile,
  rename,
  rm,
  rmdir,
  statfs,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { Vault } from '#agentd/ports.ts'
import { TucanoError } from '#shared/errors.ts'
import { type SecretGiven, secretGivenSchema } from '#shared/wire.ts'

const SHARED_MEMORY = '/dev/shm'
const TMPFS_MAGIC = 0x01021994
const VALUES = 'values.json'
/** Others may go through it to their own folders, and see nothing of it. */
const PASSAGE_MODE = 0o711

export type MemoryFolder = {
  path: string
  /** false: it is on a disk. */
  isMemory: boolean
}

/** Says which folder it will be; it is made when there is something for it. */
export async function findMemoryFolder(options: {
  dataFolder: string
  /** Names the agent among those of this machine. */
  tag: string
  sharedMemory?: string
}): Promise<MemoryFolder> {
  const { dataFolder, tag, sharedMemory = SHARED_MEMORY } = options
  const path = join(sharedMemory, `tucano-${tag}`)
  if ((await isInMemory(sharedMemory)) && !(await isOthers(path))) return { path, isMemory: true }
  return { path: join(dataFolder, 'secrets'), isMemory: false }
}

/** Anybody may make folders in shared memory: one that somebody else made is refused. */
export async function makePassage(path: string): Promise<void> {
  await mkdir(path, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
  if (await isOthers(path)) throw new TucanoError('store_failed', `${path} belongs to another user`)
  await chmod(path, PASSAGE_MODE)
}

/** Where there is no shared memory nothing is kept: values are not written to a disk. */
export function openVault({ path, isMemory }: MemoryFolder): Vault {
  const file = join(path, VALUES)
  return {
    async load() {
      if (!isMemory) return []
      return parsed(await readFile(file, 'utf8').catch(() => '[]'))
    },
    async save(values) {
      if (!isMemory) return
      if (values.length === 0) {
        await rm(file, { force: true })
        await removeEmpty(path)
        return
      }
      await makePassage(path)
      const fresh = `${file}.new`
      await rm(fresh, { force: true })
      await writeFile(fresh, JSON.stringify(values), { mode: 0o400, flag: 'wx' })
      await rename(fresh, file)
    },
  }
}

/** Instances that still have files there keep it. */
export async function removeEmpty(path: string): Promise<void> {
  await rmdir(path).catch(() => {
    // It is not empty, or was never made.
  })
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
  // What is not there is no memory.
  const seen = await statfs(folder).catch(() => undefined)
  return seen?.type === TMPFS_MAGIC
}

async function isOthers(path: string): Promise<boolean> {
  // What is not there is nobody's.
  const seen = await lstat(path).catch(() => undefined)
  return seen !== undefined && !(seen.isDirectory() && seen.uid === process.getuid?.())
}
