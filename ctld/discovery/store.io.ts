// Opens the controller's data folder: takes its lock, then the document and the records in it.

import type { Store } from '#ctld/ports.ts'
import { machineClock } from '#shared/clock.io.ts'
import { machineDisk } from '#shared/disk.io.ts'
import { lockFolder } from '#shared/lock.io.ts'
import type { Clock } from '#shared/ports.ts'
import { openRecords } from './records.io.ts'
import { createStateFile } from './state-file.ts'
import { joinStore } from './store.ts'

/**
 * Creates the folder (0700) where there is none. Rejects with `data_locked` when another
 * controller has it and with `store_failed` when it cannot be used.
 */
export async function openStore({
  folder,
  clock = machineClock,
}: {
  folder: string
  clock?: Clock
}): Promise<Store> {
  await using opened = new AsyncDisposableStack()
  opened.use(await lockFolder({ folder, daemon: 'controller' }, clock))
  const { records, isNew, notices } = openRecords({ folder, clock })
  opened.defer(() => records.close())

  const kept = opened.move()
  return joinStore({
    stateFile: createStateFile({ disk: machineDisk, clock, folder }),
    records,
    recordsAreNew: isNew,
    notices,
    release: () => kept.disposeAsync(),
  })
}
