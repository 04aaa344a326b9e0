// The agent's notebook on a fake disk: real durable pages, driven by microtasks and `pause` alone.

import { createNotebook } from '#agentd/notebook.ts'
import type { Notebook } from '#agentd/ports.ts'
import type { Clock } from '#shared/ports.ts'
import { createFakeDisk, type FakeDisk } from './disk.ts'

export type FakeNotebook = {
  /** kill, crash and setFull are its: the notebook is nothing but files. */
  disk: FakeDisk
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
    open: () => createNotebook({ disk: disk.mount(), clock: ports.clock, folder: '/data' }),
  }
}
