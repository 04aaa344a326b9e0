// The small document in one file: lowdb holds it, and an adapter of ours makes it durable. lowdb's
// own adapters rename without a sync, and turn into memory under NODE_ENV=test.

import { type Adapter, Low } from 'lowdb'
import type { Disk } from '#shared/disk.ts'
import { type DurableFile, readDurable, writeDurable } from '#shared/durable-file.ts'
import type { Clock } from '#shared/ports.ts'
import { completeDocument } from './complete-document.ts'
import { DOCUMENT_FORMAT, type StateDocument } from './document.ts'

export const STATE_FILE = 'state.json'

export type StateFile = {
  path: string
  /** Rejects with `store_failed` when neither the file nor its backup can be read. */
  read(): Promise<{ document: StateDocument | undefined; notices: string[] }>
  /** Durable when it resolves; not to be called again before that. */
  write(document: StateDocument): Promise<void>
}

export function createStateFile(ports: {
  disk: Disk
  clock: Pick<Clock, 'wall'>
  folder: string
}): StateFile {
  const file: DurableFile = {
    folder: ports.folder,
    name: STATE_FILE,
    kind: 'state',
    format: DOCUMENT_FORMAT,
    backup: true,
    whenLost: 'refuse',
  }
  let notices: string[] = []

  const adapter: Adapter<StateDocument | null> = {
    async read() {
      const reading = await readDurable<StateDocument>(ports, file)
      notices = reading.notices
      return reading.value === undefined ? null : completeDocument(reading.value)
    },
    write: (document) => writeDurable(ports.disk, file, document),
  }
  const low = new Low<StateDocument | null>(adapter, null)

  return {
    path: `${file.folder}/${file.name}`,
    async read() {
      // lowdb keeps what it has when the file has nothing.
      low.data = null
      await low.read()
      return { document: low.data ?? undefined, notices }
    },
    async write(document) {
      low.data = document
      await low.write()
    },
  }
}
