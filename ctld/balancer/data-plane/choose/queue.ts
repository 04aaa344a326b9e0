// Requests that wait until an instance has room: first come, first served, each until its deadline,
// and never more than the limit. Every step takes the same time however long the queue is.

/** One place in the queue; stays valid after it was left. */
export type Ticket<T> = {
  readonly item: T
  readonly deadline: number
  before: Ticket<T> | undefined
  after: Ticket<T> | undefined
  isWaiting: boolean
}

export type Waiting<T> = {
  /** undefined: the queue is full. */
  push(item: T, deadline: number): Ticket<T> | undefined
  /** Back to the front: its turn came, but another one was quicker. Always has room. */
  putBack(item: T, deadline: number): Ticket<T>
  /** The one who waits longest leaves the queue. undefined: nobody waits. */
  shift(): T | undefined
  /** False: it had left before, by `shift`, `expire` or `remove`. */
  remove(ticket: Ticket<T>): boolean
  /** When `expire` has something to do. Infinity: nobody waits. */
  nextDeadline(): number
  /**
   * Those whose deadline has come leave the queue, oldest first. A service's requests all wait
   * equally long, so the order of arrival is that of the deadlines. Where the wait was shortened
   * in between, the later ones leave with those before them at the latest.
   */
  expire(now: number): T[]
  /** A new limit. Those who wait already stay. */
  resize(max: number): void
  readonly size: number
}

export function createWaiting<T>(room: number): Waiting<T> {
  let max = room
  let first: Ticket<T> | undefined
  let last: Ticket<T> | undefined
  let size = 0

  function leave(ticket: Ticket<T>): T {
    if (ticket.before === undefined) first = ticket.after
    else ticket.before.after = ticket.after
    if (ticket.after === undefined) last = ticket.before
    else ticket.after.before = ticket.before
    // A ticket that somebody keeps must not keep all that ever stood beside it.
    ticket.before = undefined
    ticket.after = undefined
    ticket.isWaiting = false
    size -= 1
    return ticket.item
  }

  return {
    push(item, deadline) {
      if (size >= max) return undefined
      const ticket: Ticket<T> = { item, deadline, before: last, after: undefined, isWaiting: true }
      if (last === undefined) first = ticket
      else last.after = ticket
      last = ticket
      size += 1
      return ticket
    },
    putBack(item, deadline) {
      const ticket: Ticket<T> = { item, deadline, before: undefined, after: first, isWaiting: true }
      if (first === undefined) last = ticket
      else first.before = ticket
      first = ticket
      size += 1
      return ticket
    },
    shift: () => (first === undefined ? undefined : leave(first)),
    remove(ticket) {
      if (!ticket.isWaiting) return false
      leave(ticket)
      return true
    },
    nextDeadline: () => first?.deadline ?? Number.POSITIVE_INFINITY,
    expire(now) {
      const expired: T[] = []
      while (first !== undefined && first.deadline <= now) expired.push(leave(first))
      return expired
    },
    resize(room) {
      max = room
    },
    get size() {
      return size
    },
  }
}
