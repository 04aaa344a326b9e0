// A clock that stands until the test moves it.

import type { Clock } from '#shared/ports.ts'

export type ManualClock = Clock & { advance(ms: number): void; timers(): number }

export function createManualClock(): ManualClock {
  let now = 0
  const timers = new Set<{ at: number; call: () => void }>()
  return {
    now: () => now,
    wall: () => 1_700_000_000_000 + now,
    after(ms, call) {
      const timer = { at: now + ms, call }
      timers.add(timer)
      return () => {
        timers.delete(timer)
      }
    },
    advance(ms) {
      now += ms
      const due = [...timers].filter(({ at }) => at <= now).sort((a, b) => a.at - b.at)
      for (const timer of due) {
        if (timers.delete(timer)) timer.call()
      }
    },
    timers: () => timers.size,
  }
}
