// A clock that stands still until a test moves it. Timers run in the order of their time, those
// of one instant in the order they were set; between two of them all promises settle, so one
// history follows from one program.

import type { Clock } from '#shared/ports.ts'

export type VirtualClock = Clock & {
  /** Runs every timer that falls due within the next `ms`, also those set meanwhile. */
  advance(ms: number): Promise<void>
  /** Runs timers, one after another, until `isDone`; throws after `limitMs` of virtual time. */
  until(isDone: () => boolean, limitMs?: number): Promise<void>
  /** Runs the next timer when it is due at `until` or earlier; false: there is none. */
  runNext(until?: number): Promise<boolean>
  /** Lets all promises settle without moving time. */
  settle(): Promise<void>
  /** Moves the wall clock alone, as an administrator or NTP does. */
  jumpWall(ms: number): void
  /** Instant of the next timer, Infinity when none is set. */
  nextAt(): number
  timerCount(): number
}

type Timer = { at: number; order: number; call: () => void }

/** 2026-01-01T00:00:00Z. */
const WALL_START = Date.UTC(2026, 0, 1)
const UNTIL_LIMIT_MS = 3_600_000

export function createVirtualClock(start: { now?: number; wall?: number } = {}): VirtualClock {
  let now = start.now ?? 0
  let wallAhead = (start.wall ?? WALL_START) - now
  let order = 0
  const timers: Timer[] = [] // Latest first, so that the next one is popped.

  async function runNext(until = Number.POSITIVE_INFINITY): Promise<boolean> {
    await settle()
    const next = timers.at(-1)
    if (next === undefined || next.at > until) return false
    timers.pop()
    now = Math.max(now, next.at)
    next.call()
    await settle()
    return true
  }

  const clock: VirtualClock = {
    now: () => now,
    wall: () => Math.floor(now + wallAhead),
    after(ms, call) {
      const timer = { at: now + Math.max(0, ms), order: order++, call }
      timers.splice(placeOf(timers, timer), 0, timer)
      return () => {
        const index = timers.indexOf(timer)
        if (index !== -1) timers.splice(index, 1)
      }
    },
    async advance(ms) {
      const end = now + ms
      while (await runNext(end)) {}
      now = Math.max(now, end)
    },
    async until(isDone, limitMs = UNTIL_LIMIT_MS) {
      const limit = now + limitMs
      await settle()
      while (!isDone()) {
        if (!(await runNext(limit))) throw new Error(`not done after ${limitMs} virtual ms`)
      }
    },
    runNext,
    settle,
    jumpWall(ms) {
      wallAhead += ms
    },
    nextAt: () => timers.at(-1)?.at ?? Number.POSITIVE_INFINITY,
    timerCount: () => timers.length,
  }
  return clock
}

/** Every promise that can settle has settled once the event loop gets to its next immediate. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

function placeOf(timers: readonly Timer[], timer: Timer): number {
  let low = 0
  let high = timers.length
  while (low < high) {
    const middle = (low + high) >> 1
    const other = timers[middle] as Timer
    if (other.at > timer.at || (other.at === timer.at && other.order > timer.order)) {
      low = middle + 1
    } else high = middle
  }
  return low
}
