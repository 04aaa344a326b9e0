// Deletes a folder that a build may have locked: tools like Go's write-protect the folders of
// their caches, and without write permission a folder's files cannot be deleted.

import { chmod, lstat, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'

/** Nothing happens when it is not there. */
export async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true, maxRetries: 3 })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'EACCES' && code !== 'EPERM') throw error
    await unlock(path)
    await rm(path, { recursive: true, force: true, maxRetries: 3 })
  }
}

async function unlock(path: string): Promise<void> {
  if (!(await lstat(path)).isDirectory()) return
  await chmod(path, 0o700)
  for (const name of await readdir(path)) await unlock(join(path, name))
}
