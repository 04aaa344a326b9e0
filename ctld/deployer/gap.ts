// The gap between what one service declares and what it has: which instances it needs, which it
// has too many, in which order old ones give way to new ones. Pure.

import { CRASH_PAUSE_MS_MAX, isCrashLoop, isHolding, isServing } from '#ctld/instance.ts'
import type { Pending } from '#ctld/snapshot.ts'
import type { Instance, Service } from '#shared/model.ts'
import { avoidedBy } from './avoid.ts'
import { type Need, needOf } from './need.ts'
import type { Placed } from './place.ts'
import type { Action, Facts } from './reconcile.ts'

const CRASH_PAUSE_MS = 60_000

export type Gap = {
  needs: Need[]
  actions: Action[]
  pending: Pending[]
  /** What else to do when a need found no place. */
  whenUnplaced(placed: Placed): Action[]
  wakeAt: number
}

export function gapOf(service: Service, mine: readonly Instance[], facts: Facts, now: number): Gap {
  if (service.desired !== 'running') return emptied(service, mine)
  const pools = poolsOf(service, mine, facts)
  const held = heldLost(pools.lost, facts, now)
  const pause = crashPause(service, mine, now)
  const missing =
    service.config.concurrency - pools.current.length - pools.failed - held.count - pause.count
  const context = { service, mine, facts, pools, missing, now }
  const gap = pools.old.length === 0 ? filled(context) : replaced(context)
  return {
    ...gap,
    pending: [...gap.pending, ...held.pending, ...pause.pending],
    wakeAt: Math.min(held.wakeAt, pause.wakeAt),
  }
}

type Pools = {
  /** Of the declared program, on a worker that it may stay on. */
  current: Instance[]
  /** Of an older program, or on a worker that is being drained. */
  old: Instance[]
  terminating: Instance[]
  lost: Instance[]
  /** Places given up in this deployment: the instance failed to start six times. */
  failed: number
}

type Context = {
  service: Service
  mine: readonly Instance[]
  facts: Facts
  pools: Pools
  missing: number
  now: number
}

function poolsOf(service: Service, mine: readonly Instance[], facts: Facts): Pools {
  const staying = new Set(facts.nodes.filter((node) => !node.drained).map((node) => node.name))
  const isCurrent = (instance: Instance) =>
    instance.revision >= service.programRevision && staying.has(instance.node)
  const holding = mine.filter(isHolding)
  return {
    current: holding.filter(isCurrent),
    old: holding.filter((instance) => !isCurrent(instance)),
    terminating: mine.filter(({ state }) => state === 'terminating' || state === 'pre_terminating'),
    lost: mine.filter((instance) => instance.state === 'lost'),
    failed: mine.filter(
      (instance) =>
        instance.state === 'failed_to_start' && instance.deployment === service.deployment,
    ).length,
  }
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
    ...nothing,
    actions: [
      ...going.map((instance): Action => ({ kind: 'terminate', instance: instance.id, why })),
      ...(service.desired === 'removed' && !busy
        ? [{ kind: 'forget_service', service: service.name, why } as const]
        : []),
    ],
  }
}

const nothing: Gap = {
  needs: [],
  actions: [],
  pending: [],
  whenUnplaced: () => [],
  wakeAt: Number.POSITIVE_INFINITY,
}

/** All are of the declared program: place what is missing, stop what is too much. */
function filled({ service, mine, facts, pools, missing, now }: Context): Gap {
  const excess = pools.current.length - service.config.concurrency
  if (excess > 0) {
    const why = `more than concurrency ${service.config.concurrency}`
    return { ...nothing, actions: leave(pools.current, mine, excess, why) }
  }
  const count = Math.max(missing - awaited(service, pools.terminating, missing), 0)
  return { ...nothing, needs: needsOf(service, mine, facts, count, now) }
}

/** Places that stay empty until a program has ended that must not overlap with the next one. */
function awaited(service: Service, terminating: readonly Instance[], missing: number): number {
  const { strategy, max_surge } = service.config.update
  if (max_surge === 0) return terminating.length
  const outdated = terminating.some((instance) => instance.revision < service.programRevision)
  return strategy === 'recreate' && outdated ? missing : 0
}

/**
 * Some are old. Rolling: one new one beside them, and when it serves an old one goes, so that
 * nobody loses a request (Q03). Recreate: all of the old program go first (Q17).
 */
function replaced(context: Context): Gap {
  const { service, mine, facts, pools, missing, now } = context
  const { concurrency, update } = service.config
  const outdated = pools.old.filter((instance) => instance.revision < service.programRevision)
  if (update.strategy === 'recreate' && outdated.length > 0) {
    const why = 'replaced by a new revision (recreate)'
    return { ...nothing, actions: leave(outdated, mine, outdated.length, why) }
  }
  const serving = pools.current.filter(isServing)
  const starting = pools.current.length - serving.length
  // One that never served has nothing to give up: it goes at once.
  const idle = pools.old.filter((instance) => instance.state === 'deploying')
  const giving = pools.old.filter((instance) => instance.state === 'started')
  const surplus = Math.min(serving.length + giving.length - concurrency, giving.length)
  const why = (instance: Instance) =>
    instance.revision < service.programRevision
      ? 'replaced by a new revision'
      : `its worker ${instance.node} is drained`
  const stops = [
    ...idle.map((instance) => terminate(instance, why(instance))),
    ...leave(giving, mine, Math.max(surplus, 0), undefined, why),
  ]
  // A node that returned may bring more than was asked for meanwhile.
  const kept = pools.current.length + giving.length - Math.max(surplus, 0)
  const excess = Math.min(
    Math.max(kept - concurrency - update.max_surge, pools.current.length - concurrency, 0),
    pools.current.length,
  )
  stops.push(...leave(pools.current, mine, excess, `more than concurrency ${concurrency}`))
  const stopping = stops.length > 0 || pools.terminating.length > 0
  const room =
    concurrency +
    update.max_surge -
    (pools.current.length + giving.length - Math.max(surplus, 0)) -
    (update.max_surge === 0 ? pools.terminating.length : 0)
  const wanted = starting > 0 || pools.failed > 0 ? 0 : Math.min(1, missing, room)
  const firstOut = (): Action[] =>
    stopping || starting > 0 || pools.failed > 0 || missing <= 0 || outdated.length === 0
      ? []
      : leave(outdated, mine, 1, undefined, why)
  return {
    ...nothing,
    needs: needsOf(service, mine, facts, Math.max(wanted, 0), now),
    actions: room <= 0 && update.max_surge === 0 ? [...stops, ...firstOut()] : stops,
    // No room beside the old one on any worker: then it has to go first.
    whenUnplaced: (placed) =>
      placed.unplaced.some(({ need }) => need.service === service.name) ? firstOut() : [],
  }
}

function needsOf(
  service: Service,
  mine: readonly Instance[],
  facts: Facts,
  count: number,
  now: number,
): Need[] {
  const replacedAlready = new Set(mine.map((instance) => instance.replaces))
  const lost = mine.filter(({ state, id }) => state === 'lost' && !replacedAlready.has(id))
  const avoid = avoidedBy(service, mine, now)
  return Array.from({ length: count }, (_, index) => {
    const replaces = facts.frozen ? undefined : lost[index]
    return needOf(service, {
      avoid,
      why:
        replaces === undefined
          ? `concurrency ${service.config.concurrency}`
          : `in place of the one on ${replaces.node}, which is dead`,
      replaces: replaces?.id,
    })
  })
}

/** Instances on dead nodes keep their places while re-placement is frozen or has to wait. */
function heldLost(lost: readonly Instance[], facts: Facts, now: number) {
  const result = { count: 0, pending: [] as Pending[], wakeAt: Number.POSITIVE_INFINITY }
  if (facts.frozen) {
    result.count = lost.length
    const why = 'frozen: more than half of the nodes vanished at once'
    const service = lost[0]?.service
    if (service !== undefined) result.pending.push({ service, count: lost.length, why })
    return result
  }
  const downAt = new Map(facts.nodes.map((node) => [node.name, node.downAt]))
  for (const instance of lost) {
    const due = (downAt.get(instance.node) ?? 0) + facts.rescheduleAfterMs
    if (due <= now) continue
    result.count += 1
    result.wakeAt = Math.min(result.wakeAt, due)
  }
  return result
}

/** A service in a crash loop starts again on another worker, but ever more slowly (F05, Q06). */
function crashPause(service: Service, mine: readonly Instance[], now: number) {
  const result = { count: 0, pending: [] as Pending[], wakeAt: Number.POSITIVE_INFINITY }
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

/** The first to leave: what does not serve, then the newest on the fullest worker (Q17). */
function leave(
  from: readonly Instance[],
  mine: readonly Instance[],
  count: number,
  why: string | undefined,
  whyOf: (instance: Instance) => string = () => why ?? '',
): Action[] {
  const left = [...from]
  const perNode = new Map<string, number>()
  for (const { node } of mine.filter(isHolding)) perNode.set(node, (perNode.get(node) ?? 0) + 1)
  const actions: Action[] = []
  while (actions.length < count && left.length > 0) {
    const first = left.toSorted((a, b) => {
      const serving = Number(isServing(a)) - Number(isServing(b))
      const fullest = (perNode.get(b.node) ?? 0) - (perNode.get(a.node) ?? 0)
      return serving || fullest || (a.id < b.id ? 1 : -1)
    })[0]
    if (first === undefined) break
    left.splice(left.indexOf(first), 1)
    perNode.set(first.node, (perNode.get(first.node) ?? 1) - 1)
    actions.push(terminate(first, whyOf(first)))
  }
  return actions
}

function terminate(instance: Instance, why: string): Action {
  return { kind: 'terminate', instance: instance.id, why }
}
