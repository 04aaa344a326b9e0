// Learns the ends of programs: from the child itself while this agent is its parent, from the
// file that its shell leaves, and from /proc, which also shows what was killed outright.

import { watch } from 'node:fs'
import type { ProgramEnd, ProgramMark } from '#agentd/ports.ts'
import { type Places, readExit } from './launch.io.ts'
import { isRunning } from './proc.io.ts'

/** Only for programs that a former agent started and that were killed with their shell. */
const POLL_MS = 500
/** A shell that has written how its program ended has nothing left to do but to go. */
const LEAVE_MS = 2
const LEAVE_LOOKS_MAX = 100

export type Ends = Disposable & {
  /** A child's end is told by `tell`, which knows more than its absence from /proc. */
  watch(id: string, mark: ProgramMark, isChild: boolean): void
  /** The end of a child; ignored when it is known already. */
  tell(id: string, mark: ProgramMark, end: ProgramEnd): void
  ids(): string[]
}

export function watchEnds(
  places: Places,
  boot: string,
  onEnd: (id: string, mark: ProgramMark, end: ProgramEnd) => void,
): Ends {
  const watched = new Map<string, { mark: ProgramMark; isChild: boolean }>()
  const watcher = watch(places.exits, { persistent: false }, (_event, file) => {
    const id = (file ?? '').split('.')[0] ?? ''
    void look(id)
  })
  watcher.on('error', () => watcher.close()) // The poll below finds what it would have told.
  const timer = setInterval(() => {
    for (const id of watched.keys()) void look(id)
  }, POLL_MS)
  timer.unref()

  async function look(id: string, looks = 1): Promise<void> {
    const known = watched.get(id)
    if (known === undefined) return
    const { mark, isChild } = known
    // In this order: what its shell wrote, it wrote before it ended.
    const runs = seemsToRun(mark)
    const end = await readExit(places, id, mark)
    if (end !== undefined && runs && looks < LEAVE_LOOKS_MAX) {
      setTimeout(() => void look(id, looks + 1), LEAVE_MS).unref()
    } else if (end !== undefined) tell(id, mark, end)
    else if (!runs && !isChild) tell(id, mark, { code: undefined, signal: undefined })
  }

  /** One that cannot be looked at now is looked at again. */
  function seemsToRun(mark: ProgramMark): boolean {
    try {
      return isRunning(mark, boot)
    } catch {
      return true
    }
  }

  function tell(id: string, mark: ProgramMark, end: ProgramEnd): void {
    const known = watched.get(id)?.mark
    if (known?.pid !== mark.pid || known.startTime !== mark.startTime) return
    watched.delete(id)
    onEnd(id, mark, end)
  }

  return {
    watch(id, mark, isChild) {
      watched.set(id, { mark, isChild })
    },
    tell,
    ids: () => [...watched.keys()],
    [Symbol.dispose]() {
      clearInterval(timer)
      watcher.close()
    },
  }
}
