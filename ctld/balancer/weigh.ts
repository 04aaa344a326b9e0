// Decides how much of a service's traffic a node should get, from what it last reported (Q10).

import type { NodeMetrics } from '#shared/model.ts'

export const WEIGHT_MIN = 1
export const WEIGHT_MAX = 10

/** Reports that may be missed before the last one is only half believed. */
const STALE_INTERVALS = 3

export type Reading = {
  /** null: the node never reported. */
  metrics: NodeMetrics | null
  /** Since its last report was received. */
  metricsAgeMs: number | null
  /** The interval at which it promised to report. */
  intervalMs: number
}

/**
 * 1..10: the free share of the scarcer of cpu and memory. Old metrics count half. A node that
 * never reported gets the most, so that nodes nobody knows anything about share equally.
 */
export function weigh({ metrics, metricsAgeMs, intervalMs }: Reading): number {
  if (metrics === null) return WEIGHT_MAX
  const busy = Math.max(metrics.cpu, share(metrics.memory_used, metrics.memory_total))
  const weight = clamped(Math.round(WEIGHT_MAX * (1 - busy)))
  const isStale = metricsAgeMs === null || metricsAgeMs > STALE_INTERVALS * intervalMs
  return isStale ? clamped(Math.floor(weight / 2)) : weight
}

function share(used: number, total: number): number {
  return total > 0 ? used / total : 0
}

// Not a number (a share of nonsense) must not become a weight that never adds up.
function clamped(weight: number): number {
  return Number.isNaN(weight) ? WEIGHT_MIN : Math.min(Math.max(weight, WEIGHT_MIN), WEIGHT_MAX)
}
