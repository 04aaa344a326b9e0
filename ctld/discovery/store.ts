// Joins the document and the records into the one Store of the controller: the document first,
// then the records, one commit at a time. Records without a document are thus never ours.

import type { Loaded, Store } from '#ctld/ports.ts'
import { TucanoError } from '#shared/errors.ts'
import { createOneAtATime } from '#shared/one-at-a-time.ts'
import type { Records } from './records.ts'
import type { StateFile } from './state-file.ts'

export type StoreParts = {
  stateFile: StateFile
  records: Records
  /** There were no records before; with a document, that is a loss to be told of. */
  recordsAreNew: boolean
  notices: readonly string[]
  /** Lets go of everything that was opened. */
  release(): Promise<void>
}

export function joinStore(parts: StoreParts): Store {
  const { stateFile, records } = parts
  const writes = createOneAtATime('the store')
  let notices = parts.notices

  return {
    load: () =>
      writes.run(async () => {
        const loaded = await loadBoth(parts)
        loaded.notices.push(...notices)
        // Told once: a second load has nothing new to say.
        notices = []
        return loaded
      }),
    commit: ({ document, ...changes }) =>
      writes.run(async () => {
        if (document !== undefined) await stateFile.write(document)
        await records.commit(changes)
      }),
    events: (after, limit) => records.events(after, limit),
    close: () => writes.run(() => parts.release()),
  }
}

async function loadBoth({ stateFile, records, recordsAreNew }: StoreParts): Promise<Loaded> {
  const { document, notices } = await stateFile.read()
  const kept = await records.load()
  if (document === undefined && kept.instances.length + kept.deployments.length > 0) {
    throw new TucanoError(
      'store_failed',
      `${stateFile.path} is missing, but there are records of ${kept.instances.length} instances ` +
        'beside it: restore it from a backup, or move the whole folder away to start with nothing',
    )
  }
  if (document !== undefined && recordsAreNew) {
    notices.push(
      `the records beside ${stateFile.path} are missing: instances are learnt again from the ` +
        'agents, the history of deployments and events starts anew',
    )
  }
  return { document, ...kept, notices }
}
