// Answers what would happen. A forecast of a big cluster is seconds of work: it is done on a copy,
// a turn at a time, and whatever else the controller has to do is done between two turns.

import { TucanoError } from '#shared/errors.ts'
import type { Clock } from '#shared/ports.ts'
import type { World } from './discovery/world.ts'
import { type Forecast, forecast, placesOf } from './forecast.ts'
import { foldWhatIf, type WhatIf } from './what-if.ts'

/** More at a time would take too much from the loop, and from each other. */
export const FORESIGHTS_MAX = 4

/** The world as it was between two steps, for the one who asked alone. */
export type Copy = { world: World; routed: ReadonlySet<string>; isDurable: boolean; now: number }

export function createForesight(ports: { clock: Clock; copy: () => Promise<Copy> }) {
  const { clock, copy } = ports
  let running = 0

  async function play(whatIf: WhatIf): Promise<Forecast> {
    const { world, routed, isDurable, now } = await copy()
    const before = placesOf(world)
    foldWhatIf(world, whatIf, now)
    const turns = forecast(world, { routed, isDurable, before }, now)
    for (;;) {
      const turn = turns.next()
      if (turn.done === true) return turn.value
      await new Promise<void>((resolve) => void clock.after(0, resolve))
    }
  }

  /** Rejects with TucanoError: what the command would be refused with, or `too_many_requests`. */
  return async (whatIf: WhatIf): Promise<Forecast> => {
    if (running >= FORESIGHTS_MAX) {
      const text = `${FORESIGHTS_MAX} forecasts are being made; try again in a moment`
      throw new TucanoError('too_many_requests', text)
    }
    running += 1
    try {
      return await play(whatIf)
    } finally {
      running -= 1
    }
  }
}
