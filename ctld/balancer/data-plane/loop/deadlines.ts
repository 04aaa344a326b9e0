// Decides whose time is over. One timer for thousands of connections: deadlines of one length
// stand in one list in the order of their setting, so that to set, move or clear one costs a few
// writes and no timer of the system.

import type { Cancel, Clock } from '#shared/ports.ts'

/** A deadline belongs to one owner and is set again and again. */
export type Deadline = {
  dueAt: number
  onDue: () => void
  list: List | undefined
  before: Deadline | undefined
  after: Deadline | undefined
}

type List = {
  ms: number
  first: Deadline | undefined
  last: Deadline | undefined
  cancelTimer: Cancel | undefined
}

export type Deadlines = ReturnType<typeof createDeadlines>

export function newDeadline(onDue: () => void): Deadline {
  return { dueAt: 0, onDue, list: undefined, before: undefined, after: undefined }
}

export function createDeadlines(clock: Clock) {
  const lists = new Map<number, List>()

  function listOf(ms: number): List {
    const known = lists.get(ms)
    if (known !== undefined) return known
    const list: List = { ms, first: undefined, last: undefined, cancelTimer: undefined }
    lists.set(ms, list)
    return list
  }

  function arm(list: List, afterMs: number): void {
    list.cancelTimer = clock.after(Math.max(1, afterMs), () => ring(list))
  }

  function ring(list: List): void {
    list.cancelTimer = undefined
    const now = clock.now()
    while (list.first !== undefined && list.first.dueAt <= now) {
      const due = list.first
      unlink(due)
      due.onDue()
    }
    // The due ones may have set new ones, which armed the timer already.
    if (list.cancelTimer !== undefined) return
    if (list.first === undefined) lists.delete(list.ms)
    else arm(list, list.first.dueAt - now)
  }

  return {
    /** Due in `ms` from `now`, whatever it was before. */
    set(deadline: Deadline, ms: number, now: number): void {
      if (deadline.list !== undefined) unlink(deadline)
      const list = listOf(ms)
      deadline.dueAt = now + ms
      deadline.list = list
      deadline.before = list.last
      if (list.last === undefined) list.first = deadline
      else list.last.after = deadline
      list.last = deadline
      if (list.cancelTimer === undefined) arm(list, ms)
    },

    clear(deadline: Deadline): void {
      // Its list's timer may ring for nobody: cheaper than to cancel it each time.
      if (deadline.list !== undefined) unlink(deadline)
    },

    /** No timer is left. */
    close(): void {
      for (const list of lists.values()) list.cancelTimer?.()
      lists.clear()
    },
  }
}

function unlink(deadline: Deadline): void {
  const { list, before, after } = deadline
  if (list === undefined) return
  if (before === undefined) list.first = after
  else before.after = after
  if (after === undefined) list.last = before
  else after.before = before
  deadline.list = undefined
  deadline.before = undefined
  deadline.after = undefined
}
