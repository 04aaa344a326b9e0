// One life of a daemon in the simulator: a clock whose timers die with it, and calls into the
// world that never come back once it is over. So `kill -9` is one flag, and nothing of a dead
// daemon ever acts again.

import type { Clock } from '#shared/ports.ts'

export type Life = {
  clock: Clock
  isOver(): boolean
  end(): void
  /** SIGSTOP: its timers wait until it goes on. */
  pause(): void
  resume(): void
  /** The same promise, but silent for ever when the life has ended meanwhile. */
  guard<T>(promise: Promise<T>): Promise<T>
}

export function beginLife(clock: Clock): Life {
  let over = false
  let paused = false
  let waiting: (() => void)[] = []

  function run(call: () => void): void {
    if (over) return
    if (paused) waiting.push(call)
    else call()
  }

  return {
    clock: {
      now: () => clock.now(),
      wall: () => clock.wall(),
      after(ms, call) {
        let cancelled = false
        const cancel = clock.after(ms, () => run(() => cancelled || call()))
        return () => {
          cancelled = true
          cancel()
        }
      },
    },
    isOver: () => over,
    end() {
      over = true
      waiting = []
    },
    pause() {
      paused = true
    },
    resume() {
      paused = false
      const due = waiting
      waiting = []
      for (const call of due) call()
    },
    guard(promise) {
      return new Promise((resolve, reject) => {
        promise.then(
          (value) => run(() => resolve(value)),
          (error: unknown) => run(() => reject(error)),
        )
      })
    },
  }
}
