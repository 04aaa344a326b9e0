// The agent's notebook on a fake disk: real durable pages, driven by microtasks and `pause` alone.

import { createNotebook } from '#agentd/notebook.ts'
import type { Notebook, Vault } from '#agentd/ports.ts'
import type { Clock } from '#shared/ports.ts'
import type { SecretGiven } from '#shared/wire.ts'
import { createFakeDisk, type FakeDisk } from './disk.ts'

/** What was saved, until the machine loses its power. */
export function createFakeVault(): Vault & { values: readonly SecretGiven[]; lose(): void } {
  const fake = {
    values: [] as readonly SecretGiven[],
    load: async () => [...fake.values],
    save: async (values: readonly SecretGiven[]) => {
      fake.values = values
    },
    lose() {
      fake.values = []
    },
  }
  return fake
}

export type FakeNotebook = {
  /** kill, crash and setFull are its: the notebook is nothing but files. */
  disk: FakeDisk
  vault: ReturnType<typeof createFakeVault>
  /** The notebook of the next life. After kill or crash the former one's calls never settle. */
  open(): Notebook
}

/** `pause` runs before every step of the disk; without it the steps are microtasks. */
export function createFakeNotebook(ports: {
  clock: Pick<Clock, 'wall'>
  pause?: () => Promise<void>
}): FakeNotebook {
  const disk = createFakeDisk(ports)
  return {
    disk,
    vault: createFakeVault(),
    open: () => createNotebook({ disk: disk.mount(), clock: ports.clock, folder: '/data' }),
  }
}
