// Makes what runs become what was declared (M21, M29): asks the planner, folds its actions into
// the tables, follows each deployment to its end, and keeps one order for each agent.

import { foldInstance, foldOld, foldPlaced } from '#ctld/discovery/fold-instance.ts'
import { foldRollout } from '#ctld/discovery/fold-rollout.ts'
import {
  factsOf,
  isDrained,
  setFacts,
  tellNews,
  type World,
  workersOf,
} from '#ctld/discovery/world.ts'
import { followDeployments, tellOfStranded } from '#ctld/follow.ts'
import { STOP_MARGIN_MS } from '#ctld/instance.ts'
import type { Pending } from '#ctld/snapshot.ts'
import { durationMs } from '#shared/duration.ts'
import { TucanoError } from '#shared/errors.ts'
import type { Instance } from '#shared/model.ts'
import { isSameList } from '#shared/same-list.ts'
import type { Assignment } from '#shared/wire.ts'
import { assignedTo } from './assignment.ts'
import { type Explanation, explain } from './explain.ts'
import {
  type Action,
  type Facts,
  type NodeFact,
  type Plan,
  reconcile,
  stopMsOf,
} from './reconcile.ts'
import type { SpareFacts } from './spare.ts'

/** Rounds of planning in one step: a plan's effect on the facts may allow the next action. */
const ROUNDS_MAX = 8
const GRACE_INTERVALS = 2

export type DeployGiven = {
  newId: () => string
  routed: ReadonlySet<string>
  isDurable: boolean
  /** Told of each action before it is folded; `instance` is the one that it is about, if any. */
  onAction?: (action: Action, instance: string | undefined) => void
}

export function deploy(
  world: World,
  given: DeployGiven,
  now: number,
): { pending: Pending[]; wakeAt: number } {
  let plan = planOf(world, given, now)
  for (let round = 1; round < ROUNDS_MAX && plan.actions.length > 0; round += 1) {
    obey(world, plan, given, now)
    plan = planOf(world, given, now)
  }
  obey(world, plan, given, now)
  tellOfStranded(world)
  foldOld(world, now)
  const followAt = followDeployments(world, now)
  return { pending: plan.pending, wakeAt: Math.min(plan.wakeAt, followAt) }
}

/** What it takes to judge whether the cluster can lose a worker. */
export function spareFactsOf(world: World): SpareFacts {
  const { services, instances, deployments } = world.tables
  const nodes = nodeFacts(world)
  return { services: services.values(), instances: instances.values(), nodes, deployments }
}

/** The plan as it stands; the same that the loop obeys. */
export function planOf(
  world: World,
  given: { routed: ReadonlySet<string>; isDurable: boolean },
  now: number,
): Plan {
  return reconcile(plannerFacts(world, given), now)
}

/** Throws `not_found`. */
export function explained(of: { world: World; now: number }, name: string): Explanation {
  const { world, now } = of
  const service = world.tables.services.get(name)
  if (service === undefined) throw new TucanoError('not_found', `there is no service ${name}`)
  const facts = plannerFacts(world, { routed: new Set(), isDurable: true })
  return explain(service, facts, now)
}

export function plannerFacts(
  world: World,
  { routed, isDurable }: { routed: ReadonlySet<string>; isDurable: boolean },
): Facts {
  const facts = factsOf(world)
  return {
    services: world.tables.services.values(),
    instances: world.tables.instances.values(),
    nodes: nodeFacts(world),
    cursor: facts.cursor,
    frozen: facts.frozen !== null,
    rescheduleAfterMs: durationMs(world.config.health.reschedule_after),
    placeFrom: placeFrom(world),
    deployments: world.tables.deployments,
    routed,
    isDurable,
  }
}

/** Two intervals after the controller's start, unless all workers that were there report before. */
function placeFrom(world: World): number {
  const awaited = workersOf(world).flatMap(({ name }) => {
    const seen = world.seen.get(name)
    return seen?.wasSeen && !seen.hasReported ? [seen.intervalMs] : []
  })
  return world.startedAt + GRACE_INTERVALS * Math.max(0, ...awaited)
}

function nodeFacts(world: World): NodeFact[] {
  return workersOf(world).map((machine) => {
    const seen = world.seen.get(machine.name)
    const metrics = seen?.metrics
    const mark = world.tables.nodes.get(machine.name)
    const memory = metrics === undefined ? 0 : metrics.memory_used / (metrics.memory_total || 1)
    return {
      name: machine.name,
      state: mark?.state ?? 'unknown',
      drained: isDrained(world, machine),
      cordoned: mark?.cordoned ?? false,
      forcedUntil: mark?.drain?.force === true ? mark.drain.until : undefined,
      downAt: seen?.downAt,
      labels: machine.labels,
      size: mark?.size,
      isolation: mark?.isolation,
      load: Math.max(metrics?.cpu ?? 0, memory),
    }
  })
}

function obey(world: World, plan: Plan, { newId, onAction }: DeployGiven, now: number): void {
  for (const action of plan.actions) {
    const id =
      action.kind === 'place' ? newId() : 'instance' in action ? action.instance : undefined
    onAction?.(action, id)
    obeyOne(world, action, id, now)
  }
  if (plan.cursor !== factsOf(world).cursor) setFacts(world, { cursor: plan.cursor })
}

function obeyOne(world: World, action: Action, id: string | undefined, now: number): void {
  switch (action.kind) {
    case 'place': {
      const service = world.tables.services.get(action.service)
      if (service === undefined || id === undefined) return
      const { node, why, replaces } = action
      foldPlaced(world, { id, service, node, why, replaces }, now)
      return
    }
    case 'retry':
      foldInstance(world, action.instance, { ...action, kind: 'retry' }, now)
      return
    case 'admit':
    case 'withdraw':
      foldInstance(world, action.instance, action, now)
      return
    case 'rollout':
      foldRollout(world, action.service, action.rollout, now)
      return
    case 'terminate': {
      const { stopMs, drainMs } = patience(world, action.instance)
      foldInstance(
        world,
        action.instance,
        { kind: 'terminate', why: action.why, drainMs, stopMs },
        now,
      )
      return
    }
    case 'stop': {
      const { stopMs } = patience(world, action.instance)
      foldInstance(world, action.instance, { kind: 'drained', why: action.why, stopMs }, now)
      return
    }
    case 'stop_overdue': {
      const { stopMs } = patience(world, action.instance)
      foldInstance(world, action.instance, { kind: 'stop_overdue', stopMs }, now)
      return
    }
    case 'forget_service':
      world.tables.services.remove(action.service)
      tellNews(world, now, 'service.removed', 'service removed', { service: action.service })
      return
  }
}

function patience(world: World, id: string): { stopMs: number; drainMs: number } {
  const instance = world.tables.instances.get(id)
  const service = instance && world.tables.services.get(instance.service)
  const drain = durationMs(service?.config.stop.drain ?? '30s')
  return {
    stopMs: stopMsOf(service) + STOP_MARGIN_MS,
    drainMs: instance !== undefined && mayHaveRequests(instance) ? drain : 0,
  }
}

/** Its program runs: what is ill or not ready may still be at work on what it was given. */
function mayHaveRequests(instance: Instance): boolean {
  return instance.state === 'started' && (instance.healthy || instance.phase === 'unhealthy')
}

/** The orders of all agents, with a generation that grows when an order's content changes. */
export type Orders = {
  /** Looks at the tables anew; answers those whose content changed. */
  refresh(world: World): Assignment[]
  of(node: string): Assignment | undefined
}

type Made = {
  assignment: Assignment
  text: string
  /** What it was made from: an order is made anew only when this is another. */
  mine: readonly Instance[]
  servicesVersion: number
}

export function createOrders(): Orders {
  const orders = new Map<string, Made>()
  let looked = ''
  return {
    refresh(world) {
      const { instances: all, services, nodes } = world.tables
      const version = [all, services, nodes].map((table) => table.version()).join()
      if (version === looked) return []
      looked = version
      const { epoch } = factsOf(world)
      const servicesVersion = services.version()
      const byNode = Map.groupBy(all.values(), (instance) => instance.node)
      return workersOf(world).flatMap(({ name }) => {
        const mine = byNode.get(name) ?? []
        const last = orders.get(name)
        if (last?.servicesVersion === servicesVersion && isSameList(last.mine, mine)) return []
        const instances = assignedTo(name, mine, services)
        const text = JSON.stringify(instances)
        if (last?.text === text) {
          orders.set(name, { ...last, mine, servicesVersion })
          return []
        }
        const generation = (last?.assignment.generation ?? 0) + 1
        const assignment = { node: name, epoch, generation, instances }
        orders.set(name, { assignment, text, mine, servicesVersion })
        return [assignment]
      })
    },
    of: (node) => orders.get(node)?.assignment,
  }
}
