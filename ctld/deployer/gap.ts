// The gap between what one service declares and what it has: which instances it needs, which get a
// place in the route table, which give theirs up. How a new program takes over from the former one
// is told by the strategy of its updates. Pure.

import { isHolding } from '#ctld/instance.ts'
import { isCurrent } from '#ctld/revision.ts'
import type { Pending } from '#ctld/snapshot.ts'
import type { Instance, Service } from '#shared/model.ts'
import { blueGreen } from './blue-green.ts'
import { canary, endOfRollout } from './canary.ts'
import { terminate } from './leave.ts'
import { crashPause, heldLost } from './missing.ts'
import type { Need } from './need.ts'
import type { Placed } from './place.ts'
import { type Context, poolsOf } from './pools.ts'
import type { Action, Facts, NodeFact } from './reconcile.ts'
import { rolling } from './rolling.ts'

export type Gap = {
  needs: Need[]
  actions: Action[]
  pending: Pending[]
  /**
   * What else to do when it is known what found a place. `fits`: would the need find one if this
   * instance were gone?
   */
  whenPlaced(placed: Placed, fits: Fits): { actions: Action[]; pending: Pending[] }
  wakeAt: number
}

export type Fits = (need: Need, without: Instance) => boolean

export type Known = { facts: Facts; nodes: ReadonlyMap<string, NodeFact>; now: number }

export function gapOf(service: Service, mine: readonly Instance[], known: Known): Gap {
  if (service.desired !== 'running') return emptied(service, mine)
  const { facts, nodes, now } = known
  const deployment = facts.deployments.get(service.deployment)
  const pools = poolsOf(service, mine, { nodes, deployment })
  const held = heldLost(service, pools.lost, known)
  const pause = crashPause(service, mine, now)
  const missing =
    service.config.concurrency - pools.current.length - pools.failed - held.count - pause.count
  const context = { service, mine, facts, nodes, deployment, pools, missing, now }
  const gap = stepOf(context)
  return {
    ...gap,
    actions: [...gap.actions, ...endOfRollout(context)],
    pending: [...gap.pending, ...held.pending, ...pause.pending],
    wakeAt: Math.min(gap.wakeAt, held.wakeAt, pause.wakeAt),
  }
}

function stepOf(context: Context): Gap {
  switch (context.service.config.update.strategy) {
    case 'recreate':
      return recreate(context)
    case 'blue_green':
      return blueGreen(context)
    case 'canary':
      return canary(context)
    // A change of the program is refused at the door while it runs: what is left are moves.
    case 'none':
    case 'rolling':
      return rolling(context, { goal: context.service.config.concurrency, adopts: true })
  }
}

/** All of the former program end before one of the new starts (Q17). */
function recreate(context: Context): Gap {
  const { pools, service } = context
  const why = 'replaced by a new revision (recreate)'
  const actions = pools.outdated.map((instance) => terminate(instance, why))
  const isEnding = pools.ending.some((instance) => !isCurrent(service, instance))
  const gap = rolling(
    { ...context, pools: { ...pools, outdated: [] } },
    { goal: service.config.concurrency, adopts: false },
  )
  const needs = actions.length > 0 || isEnding ? [] : gap.needs
  return { ...gap, needs, actions: [...actions, ...gap.actions] }
}

/** Declared stopped or removed: everything goes, and a removed one is forgotten once empty. */
function emptied(service: Service, mine: readonly Instance[]): Gap {
  const going = mine.filter((instance) => isHolding(instance) || instance.state === 'lost')
  const why = service.desired === 'stopped' ? 'its service was stopped' : 'its service was removed'
  const busy = mine.some(
    (instance) =>
      isHolding(instance) ||
      instance.state === 'lost' ||
      instance.state === 'terminating' ||
      instance.state === 'pre_terminating',
  )
  return {
    needs: [],
    actions: [
      ...going.map((instance) => terminate(instance, why)),
      ...(service.desired === 'removed' && !busy
        ? [{ kind: 'forget_service', service: service.name, why } as const]
        : []),
    ],
    pending: [],
    whenPlaced: () => ({ actions: [], pending: [] }),
    wakeAt: Number.POSITIVE_INFINITY,
  }
}
