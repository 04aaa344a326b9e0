// Reads a quantile out of a histogram, as Prometheus does: within the bucket it is in, times are
// taken to be spread evenly. What lies beyond the last bound is told as that bound.

import { HISTOGRAM_BOUNDS_US } from '#ctld/balancer/balancer.ts'
import type { Histogram } from '#ctld/balancer/data-plane/counters.ts'

/** Milliseconds, to three digits behind the point; null: nothing was counted. `share`: 0..1. */
export function quantileMs({ counts }: Histogram, share: number): number | null {
  const count = counts.reduce((sum, one) => sum + one, 0)
  if (count === 0) return null
  const wanted = share * count
  let below = 0
  for (const [at, upper] of HISTOGRAM_BOUNDS_US.entries()) {
    const inside = counts[at] ?? 0
    if (inside > 0 && below + inside >= wanted) {
      const lower = at === 0 ? 0 : (HISTOGRAM_BOUNDS_US[at - 1] ?? 0)
      return toMs(lower + ((upper - lower) * (wanted - below)) / inside)
    }
    below += inside
  }
  return toMs(HISTOGRAM_BOUNDS_US.at(-1) ?? 0)
}

function toMs(us: number): number {
  return Math.round(us) / 1_000
}
