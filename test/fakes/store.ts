// The controller's store on a fake disk: the real document file, lowdb adapter and joining, with
// fake records beside them. Driven by microtasks and `pause` alone.

import { createStateFile, STATE_FILE } from '#ctld/discovery/state-file.ts'
import { joinStore } from '#ctld/discovery/store.ts'
import type { Store } from '#ctld/ports.ts'
import type { Clock } from '#shared/ports.ts'
import { createFakeDisk, type FakeDisk } from './disk.ts'
import { createFakeRecords } from './records.ts'
import { createFakeSecrets, type FakeSecrets } from './secrets.ts'

export type FakeStorage = {
  disk: FakeDisk
  statePath: string
  secrets: FakeSecrets
  /** The store of the next life. After kill or crash the former one's calls never settle. */
  open(): Store
  /** kill -9 of the controller. */
  kill(): void
  /** Power cut. `random` gives numbers in [0, 1). */
  crash(random: () => number): void
  setFull(full: boolean): void
}

const FOLDER = '/data'

/** `pause` runs before every step of the disk; without it the steps are microtasks. */
export function createFakeStorage(ports: {
  clock: Pick<Clock, 'wall'>
  pause?: () => Promise<void>
}): FakeStorage {
  const disk = createFakeDisk(ports)
  const records = createFakeRecords({ ...ports, path: `${FOLDER}/records.db` })

  return {
    disk,
    secrets: createFakeSecrets(),
    statePath: `${FOLDER}/${STATE_FILE}`,
    open: () =>
      joinStore({
        stateFile: createStateFile({ disk: disk.mount(), clock: ports.clock, folder: FOLDER }),
        records: records.mount(),
        recordsAreNew: false,
        notices: [],
        release: async () => {},
      }),
    kill() {
      disk.kill()
      records.kill()
    },
    crash(random) {
      disk.crash(random)
      records.kill()
    },
    setFull(full) {
      disk.setFull(full)
      records.setFull(full)
    },
  }
}
