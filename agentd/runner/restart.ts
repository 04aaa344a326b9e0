// Decides when a program that was healthy once is started again after it failed (Q06, F05).

/** Six starts in all; then the controller places the instance elsewhere. */
export const FAILURES_MAX = 6
/** Healthy for this long, and its former failures are forgotten. */
export const RESET_AFTER_MS = 600_000
const BACKOFF_MS = 1_000
const BACKOFF_MS_MAX = 60_000
const JITTER = 0.2

/** Failures in a row with this new one, after it was healthy for `healthyMs`. */
export function failuresInRow(before: number, healthyMs: number): number {
  return healthyMs >= RESET_AFTER_MS ? 1 : before + 1
}

/**
 * Milliseconds until the restart: 1, 2, 4 … 60 s after 1, 2, 3 … failures in a row, ±20 % so that
 * copies of one service do not start in step. undefined: no further restart. `random` is in [0, 1).
 */
export function backoffMs(failures: number, random: number): number | undefined {
  if (failures >= FAILURES_MAX) return undefined
  const ms = Math.min(BACKOFF_MS * 2 ** (failures - 1), BACKOFF_MS_MAX)
  return Math.round(ms * (1 - JITTER + 2 * JITTER * random))
}
