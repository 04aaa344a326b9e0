// Counts what each key did within a window of time, for a bounded number of keys: failed logins
// by address, repeated log lines by peer.

export type Throttle = {
  /** Milliseconds to wait; 0: the key has done it less than `max` times within the window. */
  waitOf(key: string, now: number): number
  /** Counts one; true while it is within the limit. */
  take(key: string, now: number): boolean
}

type Window = { startedAt: number; count: number }

/** With more than `keysMax` keys the one that was counted first is forgotten. */
export function createThrottle(limits: {
  max: number
  windowMs: number
  keysMax: number
}): Throttle {
  const windows = new Map<string, Window>()

  const current = (key: string, now: number): Window | undefined => {
    const window = windows.get(key)
    if (window === undefined || now - window.startedAt < limits.windowMs) return window
    windows.delete(key)
    return undefined
  }

  return {
    waitOf(key, now) {
      const window = current(key, now)
      if (window === undefined || window.count < limits.max) return 0
      return window.startedAt + limits.windowMs - now
    },
    take(key, now) {
      const window = current(key, now)
      if (window !== undefined) {
        window.count += 1
        return window.count <= limits.max
      }
      const oldest = windows.size >= limits.keysMax ? windows.keys().next() : undefined
      if (oldest?.value !== undefined) windows.delete(oldest.value)
      windows.set(key, { startedAt: now, count: 1 })
      return true
    },
  }
}
