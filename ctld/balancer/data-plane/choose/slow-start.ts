// Decides how much of its weight a new instance has: its caches are cold and its code is not
// compiled yet, so it gets its full share only after a while.

/** Of the weight, in the first moment: it must get some requests to warm up by. */
export const SLOW_START_LEAST = 0.1

/**
 * Rises in a straight line from a tenth of `weight` to all of it at `slowStartMs`. `ageMs` is the
 * time since it entered the table; those that the data plane finds at its own start are old
 * (Infinity): with all of them new nobody could take the load off the others.
 */
export function slowStartWeight(weight: number, ageMs: number, slowStartMs: number): number {
  if (ageMs >= slowStartMs) return weight
  const share = Math.max(0, ageMs / slowStartMs)
  return weight * (SLOW_START_LEAST + (1 - SLOW_START_LEAST) * share)
}
