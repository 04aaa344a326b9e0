// The agent's notebook in its data folder, on the machine's own disk.

import { machineClock } from '#shared/clock.io.ts'
import { machineDisk } from '#shared/disk.io.ts'
import { storeFailed } from '#shared/disk.ts'
import { createNotebook, pagesFolder } from './notebook.ts'
import type { Notebook } from './ports.ts'

/** Creates the folder (0700) where there is none. Rejects with `store_failed`. */
export async function openNotebook(folder: string): Promise<Notebook> {
  try {
    await machineDisk.makeFolder(pagesFolder(folder))
  } catch (error) {
    throw storeFailed('create', pagesFolder(folder), error)
  }
  return createNotebook({ disk: machineDisk, clock: machineClock, folder })
}
