// Learns the ends of programs: from the child itself while this agent is its parent, from the
// file that its shell leaves, and from /proc, which also shows what was killed outright.

import { watch } from 'node:fs'
import type { ProgramEnd, ProgramMark } from '#agentd/ports.ts'
import { type Places, readExit } from './launch.io.ts'
import { isRunning } from './proc.io.ts'

/** Only for programs that a former agent started and that were killed with their shell. */
const POLL_MS = 500

export type Ends = Disposable & {
  watch(id: string, mark: ProgramMark): void
  /** The end of a child; ignored when it is known already. */
  tell(id: string, mark: ProgramMark, end: ProgramEnd): void
  marks(): ReadonlyMap<string, ProgramMark>
}

export function watchEnds(
  places: Places,
  boot: string,
  onEnd: (id: string, mark: ProgramMark, end: ProgramEnd) => void,
): Ends {
  const watched = new Map<string, ProgramMark>()
  const watcher = watch(places.exits, { persistent: false }, (_event, file) => {
    const id = (file ?? '').split('.')[0] ?? ''
    void look(id)
  })
  watcher.on('error', () => watcher.close()) // The poll below finds what it would have told.
  const timer = setInterval(() => {
    for (const id of watched.keys()) void look(id)
  }, POLL_MS)
  timer.unref()

  async function look(id: string): Promise<void> {
    const mark = watched.get(id)
    if (mark === undefined) return
    // In this order: what its shell wrote, it wrote before it ended.
    const runs = isRunning(mark, boot)
    const end = await readExit(places, id, mark)
    if (end !== undefined) tell(id, mark, end)
    else if (!runs) tell(id, mark, { code: undefined, signal: undefined })
  }

  function tell(id: string, mark: ProgramMark, end: ProgramEnd): void {
    const known = watched.get(id)
    if (known?.pid !== mark.pid || known.startTime !== mark.startTime) return
    watched.delete(id)
    onEnd(id, mark, end)
  }

  return {
    watch(id, mark) {
      watched.set(id, mark)
    },
    tell,
    marks: () => watched,
    [Symbol.dispose]() {
      clearInterval(timer)
      watcher.close()
    },
  }
}
