// What the planner and the workers that are emptied or filled make of the facts, in one decision:
// deployments, the drains and their deadlines, and the rebalance that is under way.

import { durationMs } from '#shared/duration.ts'
import { TucanoError } from '#shared/errors.ts'
import type { Rebalance } from '#shared/model.ts'
import type { RebalanceCommand } from './commands.ts'
import { type DeployGiven, deploy, plannerFacts } from './deployer/deployer.ts'
import { isSettled } from './deployer/deployment.ts'
import { type HoldUp, holdUps, holdUpsText, unplaceable } from './deployer/drain.ts'
import { planRebalance, type RebalancePlan } from './deployer/rebalance.ts'
import { stepRebalance, stopped } from './deployer/rebalance-step.ts'
import { foldDrain } from './discovery/fold-drain.ts'
import { foldHomes } from './discovery/fold-homes.ts'
import { foldLeaving, foldRebalance } from './discovery/fold-rebalance.ts'
import { factsOf, setFacts, type World } from './discovery/world.ts'
import type { Pending } from './snapshot.ts'

type Decided = { pending: Pending[]; wakeAt: number }

/** `deploy`, and what becomes of drains and of a rebalance. */
export function deployAndMove(world: World, given: DeployGiven, now: number): Decided {
  const first = deploy(world, given, now)
  const before = world.tables.instances.version()
  const beginsAt = beginByItself(world, given, now)
  const goesOnAt = goOn(world, given, first.pending, now)
  const drainsAt = watchDrains(world, given, first.pending, now)
  const wakeAt = Math.min(beginsAt, goesOnAt, drainsAt)
  const isSame = world.tables.instances.version() === before
  const last = isSame ? first : deploy(world, given, now)
  foldHomes(world)
  return { pending: last.pending, wakeAt: Math.min(last.wakeAt, wakeAt) }
}

export function rebalancePlan(world: World, now: number): RebalancePlan {
  return planRebalance(plannerFacts(world, NOTHING_ROUTED), now)
}

export function holdUpsOf(world: World, node: string, pending: readonly Pending[]): HoldUp[] {
  return holdUps(plannerFacts(world, NOTHING_ROUTED), node, pending)
}

/** Throws `conflict`: when one is under way, and when the plan is not the one that was shown. */
export function foldRebalanceCommand(
  world: World,
  command: RebalanceCommand,
  newId: () => string,
  now: number,
): { rebalance: Rebalance | null } {
  const was = factsOf(world).rebalance
  const isRunning = was?.state === 'running'
  if (command.kind === 'stop_rebalance') {
    if (!isRunning) throw new TucanoError('conflict', 'no rebalance is under way')
    foldRebalance(world, was, stopped(was, now), now)
    return { rebalance: factsOf(world).rebalance }
  }
  if (isRunning) {
    throw new TucanoError('conflict', `a rebalance is under way: ${was.why}; see tucano rebalance`)
  }
  if (factsOf(world).frozen !== null) {
    throw new TucanoError('conflict', 'more than half of the workers vanished: nothing is moved')
  }
  const { moves } = rebalancePlan(world, now)
  const planned = moves.map(({ instance }) => instance).join()
  if (command.instances !== undefined && command.instances.join() !== planned) {
    throw new TucanoError('conflict', 'the plan is another one by now: look at it again')
  }
  begin(world, { moves, by: 'user', id: newId() }, now)
  return { rebalance: factsOf(world).rebalance }
}

/** Throws `conflict` with the reasons when the other workers cannot hold what is on this one. */
export function refuseDrain(
  world: World,
  { node, force = false }: { node: string; force?: boolean },
  now: number,
): void {
  const mark = world.tables.nodes.get(node)
  if (force || mark === undefined || mark.drained) return
  const homeless = unplaceable(plannerFacts(world, NOTHING_ROUTED), node, now)
  if (homeless.length === 0) return
  const reasons = homeless.map(({ service, count, why }) => `${count} of ${service}: ${why}`)
  const problems = homeless.map(({ service, count, why }) => ({
    where: service,
    what: `${count} without a place: ${why}`,
  }))
  const text = `${node} is not drained: the other workers cannot hold ${reasons.join('; ')}`
  throw new TucanoError('conflict', text, { problems })
}

const NOTHING_ROUTED = { routed: new Set<string>(), isDurable: true }

function begin(
  world: World,
  { moves, by, id }: Pick<Rebalance, 'moves' | 'by' | 'id'>,
  now: number,
): void {
  const why = moves.length === 0 ? 'nothing would be better elsewhere' : 'begins'
  const state = moves.length === 0 ? 'done' : 'running'
  const end = moves.length === 0 ? { finishedAt: now } : {}
  const is = { id, by, state, why, moves, done: 0, createdAt: now, nextAt: now, ...end } as const
  foldRebalance(world, factsOf(world).rebalance, is, now)
}

/** Some time after a worker came back, and only while the cluster is calm. */
function beginByItself(world: World, given: DeployGiven, now: number): number {
  const { rebalanceDueAt: dueAt, rebalance, frozen } = factsOf(world)
  if (dueAt === null) return Number.POSITIVE_INFINITY
  if (!world.config.rebalance.automatic) {
    setFacts(world, { rebalanceDueAt: null })
    return Number.POSITIVE_INFINITY
  }
  if (dueAt > now) return dueAt
  const { nodes, deployments } = world.tables
  const isCalm =
    rebalance?.state !== 'running' &&
    frozen === null &&
    nodes.values().every(({ state, drained }) => state === 'alive' || drained) &&
    deployments.values().every(isSettled)
  // What disturbs it is in the tables, so that its end is looked at.
  if (!isCalm) return Number.POSITIVE_INFINITY
  setFacts(world, { rebalanceDueAt: null })
  const { moves } = planRebalance(plannerFacts(world, given), now)
  if (moves.length > 0) begin(world, { moves, by: 'controller', id: given.newId() }, now)
  return Number.POSITIVE_INFINITY
}

function goOn(world: World, given: DeployGiven, pending: readonly Pending[], now: number): number {
  const was = factsOf(world).rebalance
  if (was === null) return Number.POSITIVE_INFINITY
  const pauseMs = was.by === 'user' ? 0 : durationMs(world.config.rebalance.pause)
  const facts = plannerFacts(world, given)
  const step = stepRebalance(was, { facts, pending, pauseMs }, now)
  if (step.rebalance !== was) foldRebalance(world, was, step.rebalance, now)
  foldLeaving(world, step.leaving, now)
  return step.wakeAt
}

/** Says when a worker is empty, and at its deadline what holds it up. */
function watchDrains(
  world: World,
  given: DeployGiven,
  pending: readonly Pending[],
  now: number,
): number {
  let wakeAt = Number.POSITIVE_INFINITY
  const draining = world.tables.nodes.values().filter(({ drain }) => drain !== undefined)
  if (draining.length === 0) return wakeAt
  const facts = plannerFacts(world, given)
  for (const { name, drain } of draining) {
    if (drain === undefined) continue
    const holds = holdUps(facts, name, pending)
    const isOver = drain.until <= now
    if (!isOver && holds.length > 0) wakeAt = Math.min(wakeAt, drain.until)
    const why = holdUpsText(holds)
    foldDrain(world, { node: name, left: holds.length, why, isOver }, now)
  }
  return wakeAt
}
