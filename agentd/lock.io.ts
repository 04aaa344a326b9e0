// One agent per data folder: two would sweep each other's programs away. The lock is the kernel's
// (a file lock that SQLite takes), so an agent that was killed leaves none behind.

import { readFileSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { storeFailed } from '#shared/disk.ts'
import { TucanoError } from '#shared/errors.ts'

const SQLITE_BUSY = 5

/** Creates the folder where there is none. Rejects with `data_locked`, naming who holds it. */
export async function lockDataFolder(folder: string): Promise<Disposable> {
  const path = join(folder, 'lock.db')
  const holder = join(folder, 'lock.pid')
  let database: DatabaseSync
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    database = new DatabaseSync(path)
  } catch (error) {
    throw storeFailed('open', path, error)
  }
  try {
    database.exec('BEGIN EXCLUSIVE')
    writeFileSync(holder, `${process.pid}\n`, { mode: 0o600 })
  } catch (error) {
    database.close()
    if ((error as { errcode?: number }).errcode !== SQLITE_BUSY) {
      throw storeFailed('lock', path, error)
    }
    throw new TucanoError(
      'data_locked',
      `the data folder ${folder} is in use by another agent${whoHolds(holder)}: stop it first, or ` +
        'give this one a data_folder of its own',
    )
  }
  return { [Symbol.dispose]: () => database.close() }
}

function whoHolds(file: string): string {
  try {
    return ` (process ${readFileSync(file, 'utf8').trim()})`
  } catch {
    return '' // It is only for people; the lock speaks for itself.
  }
}
