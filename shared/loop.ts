// The one heart of both daemons: run a step when there is news or when the last step asked to be
// woken; never two at once. A step that throws is a bug: `onBug` is told and ends the process.

import type { Cancel, Clock } from './ports.ts'

/** Timers reach further than this in one hop only by being set again. */
const WAIT_MS_MAX = 60_000

export type Loop = {
  /** There is news: run a step soon. Calls before that step starts are one. */
  wake(): void
  /** Resolves when the step under way has ended; no step runs after it. */
  stop(): Promise<void>
}

/** `step` returns the monotonic instant at which it wants to run again; Infinity: on news alone. */
export function createLoop(ports: {
  clock: Clock
  step: () => Promise<number>
  onBug: (error: unknown) => void
}): Loop {
  const { clock, step, onBug } = ports
  let state: 'asleep' | 'due' | 'running' | 'stopped' = 'asleep'
  let news = false
  let cancel: Cancel = () => {}
  let ended = Promise.resolve()

  function due(ms: number): void {
    cancel()
    cancel = clock.after(ms, () => {
      ended = run()
    })
  }

  async function run(): Promise<void> {
    if (state === 'stopped') return
    state = 'running'
    news = false
    try {
      const wakeAt = await step()
      if (isStopped()) return
      state = news ? 'due' : 'asleep'
      due(news ? 0 : Math.min(Math.max(wakeAt - clock.now(), 0), WAIT_MS_MAX))
    } catch (error) {
      state = 'stopped'
      onBug(error)
    }
  }

  // A function, because the compiler believes that `state` cannot change during the await.
  function isStopped(): boolean {
    return state === 'stopped'
  }

  return {
    wake() {
      if (state === 'running') news = true
      if (state !== 'asleep') return
      state = 'due'
      due(0)
    },
    async stop() {
      state = 'stopped'
      cancel()
      await ended
    },
  }
}
