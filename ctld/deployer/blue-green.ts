// Decides how a whole new group takes over at once: all of it starts beside the group that serves,
// and when all of it is well every place changes hands in one plan. The former group runs on, out
// of the route table, until the deployment is settled: the way back is one step as well. Pure.

import { hasPlace, isServing } from '#ctld/instance.ts'
import { programOf } from '#ctld/revision.ts'
import type { Instance } from '#shared/model.ts'
import type { Gap } from './gap.ts'
import { leavingOrder, terminate } from './leave.ts'
import { needsOf } from './missing.ts'
import { type Context, isReachable, keepsWarm, patienceMs } from './pools.ts'
import type { Action } from './reconcile.ts'
import { admit, rolling, whyReplaced } from './rolling.ts'

export function blueGreen(context: Context): Gap {
  const { pools, service, missing } = context
  const { concurrency } = service.config
  const giving = pools.outdated.filter(hasPlace)
  if (giving.length === 0) return rolling(context, { goal: concurrency, adopts: false })
  const idle = pools.outdated.filter((instance) => !hasPlace(instance))
  const placedCount = pools.current.filter(hasPlace).length
  const waiting = pools.current.filter((instance) => !hasPlace(instance))
  const surplus = placedCount + giving.length - concurrency
  const gone = surplus > 0 ? leavingOrder(giving, context.mine).slice(0, surplus) : []
  const stays = giving.filter((instance) => !gone.includes(instance))
  // Of the group that serves: two programs never serve beside each other here.
  const group = giving[0] && programOf(service, giving[0].revision)
  const helpers = [...pools.warm, ...idle]
    .filter((one) => isServing(one) && programOf(service, one.revision) === group)
    .slice(0, Math.max(-surplus, 0))
  const excess = leavingOrder(waiting, context.mine).slice(
    0,
    Math.max(pools.current.length - concurrency, 0),
  )
  const dueAt = switchAt(context)
  const isDue = dueAt <= context.now && excess.length === 0
  return {
    needs: needsOf(context, missing),
    actions: [
      ...gone.map((instance) => retire(instance, context)),
      ...excess.map((instance) => terminate(instance, `more than concurrency ${concurrency}`)),
      ...pools.moving.filter((one) => !hasPlace(one)).map((one) => drop(one, context)),
      ...idle.filter((one) => !helpers.includes(one)).map((one) => drop(one, context)),
      ...(isDue
        ? [
            ...waiting.map((instance) => admit(instance, 'the whole new group takes over')),
            ...stays.map((instance) => retire(instance, context)),
          ]
        : helpers.map((instance) => admit(instance, 'until the new group takes over'))),
    ],
    pending: [],
    whenPlaced: () => ({ actions: [], pending: [] }),
    wakeAt: isDue ? Number.POSITIVE_INFINITY : dueAt,
  }
}

/** When the last of the new group will have been healthy for long enough. */
function switchAt(context: Context): number {
  const { pools, service, nodes } = context
  const { concurrency } = service.config
  const isReady = (one: Instance) => isServing(one) && isReachable(one, nodes)
  if (pools.current.length < concurrency || !pools.current.every(isReady)) return Infinity
  const since = pools.current.map(({ healthyAt }) => healthyAt ?? Infinity)
  return Math.max(...since) + patienceMs(context)
}

function retire(instance: Instance, context: Context): Action {
  if (!keepsWarm(context.service, instance, context)) return drop(instance, context)
  const why = 'kept ready until the new revision has proven itself'
  return { kind: 'withdraw', instance: instance.id, why }
}

function drop(instance: Instance, context: Context): Action {
  return terminate(instance, whyReplaced(instance, context))
}
