// What a service misses: the needs for it, and the places that stay empty for a while because a
// dead node may come back or a program crashes again and again. Pure.

import { CRASH_PAUSE_MS_MAX, isCrashLoop } from '#ctld/instance.ts'
import type { Pending } from '#ctld/snapshot.ts'
import type { Instance, Service } from '#shared/model.ts'
import { avoidedBy } from './avoid.ts'
import { freeHomes } from './homes.ts'
import { type Need, needOf } from './need.ts'
import { pinnedBecause } from './pinned.ts'
import type { Context } from './pools.ts'

const CRASH_PAUSE_MS = 60_000

export type Held = { count: number; pending: Pending[]; wakeAt: number }

export function needsOf(context: Context, count: number): Need[] {
  if (count <= 0) return []
  const { service, mine, facts, now } = context
  const replacedAlready = new Set(mine.map((instance) => instance.replaces))
  const lost = mine.filter(({ state, id }) => state === 'lost' && !replacedAlready.has(id))
  const avoid = avoidedBy(service, mine, now)
  const bound = boundFor(context)
  const isMoved = pinnedBecause(service) === undefined && !facts.frozen
  return Array.from({ length: count }, (_, index) => {
    const replaces = isMoved ? lost[index] : undefined
    const only = bound[index]
    return needOf(service, {
      avoid,
      ...(only === undefined ? {} : { only }),
      why:
        replaces === undefined
          ? `concurrency ${service.config.concurrency}`
          : `in place of the one on ${replaces.node}, which is dead`,
      replaces: replaces?.id,
    })
  })
}

/** Workers that the next ones have to go to: where their data is, or where one is to move to. */
function boundFor({ service, nodes, pools }: Context): string[] {
  return [
    ...freeHomes(service, [...pools.current, ...pools.lost], nodes),
    ...pools.moving.flatMap(({ leaving }) => leaving?.to ?? []),
  ]
}

/**
 * Instances on dead nodes keep their places while re-placement is frozen or has to wait, and for
 * good when their service is never moved.
 */
export function heldLost(
  service: Service,
  lost: readonly Instance[],
  { facts, nodes, now }: Pick<Context, 'facts' | 'nodes' | 'now'>,
): Held {
  const result: Held = { count: 0, pending: [], wakeAt: Number.POSITIVE_INFINITY }
  if (facts.frozen) {
    result.count = lost.length
    const why = 'frozen: more than half of the nodes vanished at once'
    const service = lost[0]?.service
    if (service !== undefined) result.pending.push({ service, count: lost.length, why })
    return result
  }
  const pinned = pinnedBecause(service)
  for (const instance of lost) {
    if (pinned !== undefined) {
      result.count += 1
      const why = `its worker ${instance.node} is dead, and ${pinned}: it waits for that one`
      result.pending.push({ service: service.name, count: 1, why })
      continue
    }
    const due = (nodes.get(instance.node)?.downAt ?? 0) + facts.rescheduleAfterMs
    if (due <= now) continue
    result.count += 1
    result.wakeAt = Math.min(result.wakeAt, due)
  }
  return result
}

/** A service in a crash loop starts again on another worker, but ever more slowly (F05, Q06). */
export function crashPause(service: Service, mine: readonly Instance[], now: number): Held {
  const result: Held = { count: 0, pending: [], wakeAt: Number.POSITIVE_INFINITY }
  const crashed = mine
    .filter(isCrashLoop)
    .filter((instance) => instance.deployment === service.deployment)
    .toSorted((a, b) => a.changedAt - b.changedAt)
  for (const [index, instance] of crashed.entries()) {
    const pauseMs = Math.min(CRASH_PAUSE_MS * 2 ** index, CRASH_PAUSE_MS_MAX)
    if (instance.changedAt + pauseMs <= now) continue
    result.count += 1
    result.wakeAt = Math.min(result.wakeAt, instance.changedAt + pauseMs)
  }
  if (result.count > 0) {
    const why = 'failed: it crashes again and again; the next try waits'
    result.pending.push({ service: service.name, count: result.count, why })
  }
  return result
}
