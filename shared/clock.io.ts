// The machine's own clocks and timers.

import type { Clock } from './ports.ts'

export const machineClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after(ms, call) {
    if (ms <= 0) {
      const soon = setImmediate(call)
      return () => clearImmediate(soon)
    }
    const timer = setTimeout(call, ms)
    return () => clearTimeout(timer)
  },
}
