// What the agent must know again after kill -9: the order it obeys and one page an instance, each
// in a durable file. Damage does not stop a start: the controller sends its order again, and
// programs without a page are found by their mark.

import type { Disk } from '#shared/disk.ts'
import { type DurableFile, readDurable, removeDurable, writeDurable } from '#shared/durable-file.ts'
import { createOneAtATime, type OneAtATime } from '#shared/one-at-a-time.ts'
import type { Clock } from '#shared/ports.ts'
import type { Assignment } from '#shared/wire.ts'
import type { InstancePage, Notebook } from './ports.ts'

const NOTEBOOK_FORMAT = 1

/** The folder and `pages` in it must exist. */
export function createNotebook(ports: {
  disk: Disk
  clock: Pick<Clock, 'wall'>
  folder: string
}): Notebook {
  const { disk, folder } = ports
  const assignmentFile = fileOf(folder, 'assignment', 'assignment.json')
  const writing = new Map<string, OneAtATime>()

  // Writes of one file follow each other; those of different files do not wait for each other.
  async function inTurn(file: DurableFile, work: () => Promise<void>): Promise<void> {
    const turns = writing.get(file.name) ?? createOneAtATime(file.name)
    writing.set(file.name, turns)
    try {
      await turns.run(work)
    } finally {
      if (turns.isIdle()) writing.delete(file.name)
    }
  }

  function save(file: DurableFile, value: unknown): Promise<void> {
    return inTurn(file, () => writeDurable(disk, file, value))
  }

  return {
    async load() {
      const assignment = await readDurable<Assignment>(ports, assignmentFile)
      const pages: InstancePage[] = []
      const notices = [...assignment.notices]
      for (const name of await disk.list(pagesFolder(folder))) {
        if (!name.endsWith('.json')) continue
        const page = await readDurable<InstancePage>(ports, pageFile(folder, name))
        notices.push(...page.notices)
        if (page.value !== undefined) pages.push(page.value)
      }
      return { assignment: assignment.value, pages, notices }
    },
    saveAssignment: (assignment) => save(assignmentFile, assignment),
    savePage: (page) => save(pageFile(folder, `${page.id}.json`), page),
    removePage(id) {
      const file = pageFile(folder, `${id}.json`)
      return inTurn(file, () => removeDurable(disk, file))
    },
  }
}

export function pagesFolder(folder: string): string {
  return `${folder}/pages`
}

// A page has no backup: an older page names an older program, which is worse than none.
function pageFile(folder: string, name: string): DurableFile {
  return { ...fileOf(pagesFolder(folder), 'page', name), backup: false }
}

function fileOf(folder: string, kind: string, name: string): DurableFile {
  return { folder, name, kind, format: NOTEBOOK_FORMAT, backup: true, whenLost: 'forget' }
}
