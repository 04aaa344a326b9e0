// Judges a program by the requests that it served beside those that the former one served. Pure.

import { p99Of, shareOf } from '#ctld/meter/meter.ts'
import type { Tally } from '#ctld/meter/tally.ts'
import type { UpdateGuard } from '#shared/configuration.ts'
import { durationMs } from '#shared/duration.ts'

/** What both programs did: since the deployment began, and lately. */
export type GuardFigures = {
  current: Tally
  /** It may have been well for long and be ill now. */
  recent: Tally
  /** Of the former program, from a minute before the deployment on. */
  former: Tally
}

/** What is wrong, in words; undefined: nothing, or too little is known. */
export function guardFault(guard: UpdateGuard, figures: GuardFigures): string | undefined {
  for (const [tally, when] of [
    [figures.current, ''],
    [figures.recent, ' lately'],
  ] as const) {
    if (tally.requests < guard.min_requests) continue
    const fault = tooManyFailed(guard, tally, figures) ?? tooSlow(guard, tally, figures)
    if (fault !== undefined) return `${fault}${when}`
  }
  return undefined
}

function tooManyFailed(guard: UpdateGuard, tally: Tally, { former }: GuardFigures) {
  if (shareOf(tally) - shareOf(former) <= guard.error_rate) return undefined
  const before = former.requests === 0 ? '' : `, ${percent(shareOf(former))} of the former one's`
  return `${percent(shareOf(tally))} of its ${tally.requests} requests failed${before}`
}

/** What was too slow before is no fault of the new one, and a way back would not mend it. */
function tooSlow(guard: UpdateGuard, tally: Tally, { former }: GuardFigures) {
  if (guard.p99 === undefined) return undefined
  const [is, was] = [p99Of(tally), former.requests < guard.min_requests ? null : p99Of(former)]
  const max = durationMs(guard.p99)
  if (is === null || is <= max || (was !== null && was > max)) return undefined
  const before = was === null ? '' : `, ${Math.round(was)} ms of the former one's`
  return `99 % of its ${tally.requests} requests take up to ${Math.round(is)} ms${before}`
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`
}
