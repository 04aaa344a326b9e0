// How far a drain has come, in words. Pure.

import { durationText } from '#shared/duration.ts'
import type { NodeDrain } from '#shared/model.ts'
import { since } from './words.ts'

/** `since 12 s, by force, deadline in 9 min`. */
export function drainText(drain: NodeDrain, now: number): string {
  const { since: begun, until, force, isLate, emptyAt } = drain
  const end =
    emptyAt !== undefined
      ? `empty for ${since(emptyAt, now)}`
      : isLate
        ? `late for ${since(until, now)}`
        : `deadline in ${durationText(Math.max(0, until - now))}`
  return [`since ${since(begun, now)}`, ...(force ? ['by force'] : []), end].join(', ')
}
