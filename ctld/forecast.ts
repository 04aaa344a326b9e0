// What would happen: plays the very planner that the loop obeys on a copy of the world, on a clock
// of its own, with agents and a balancer that do as they are told, until nothing changes any more.
// Pure: the world it was given stays as it was.

import type { Action } from '#ctld/deployer/reconcile.ts'
import type { Instance } from '#shared/model.ts'
import type { DeployGiven } from './deployer/deployer.ts'
import { foldInstance } from './discovery/fold-instance.ts'
import { foldTopology } from './discovery/fold-node.ts'
import { factsOf, type World } from './discovery/world.ts'
import { isHolding, isServing } from './instance.ts'
import { deployAndMove } from './moves.ts'
import type { Pending } from './snapshot.ts'
import { holdTrials } from './trials.ts'

/** What is foreseen at most; whatever comes after it is left out, and `cutBy` says so. */
export const FORECAST_ACTIONS_MAX = 5_000
export const FORECAST_TURNS_MAX = 20_000
export const FORECAST_MS_MAX = 24 * 3_600_000

/** Only the programs know how long they take; the order of the actions hardly depends on it. */
export const START_MS = 1_000
export const DRAIN_MS = 100
export const STOP_MS = 500

/** One action, with what it is about in full: the instance may be gone when it is read. */
export type Foreseen = {
  /** From now, on the forecast's own clock. */
  afterMs: number
  kind: Action['kind']
  service: string
  /** `new-000001` and so on: one that this forecast placed. null: a service is forgotten. */
  instance: string | null
  node: string | null
  why: string
}

export type Forecast = {
  actions: Foreseen[]
  /** What stays without a place when nothing changes any more. */
  pending: Pending[]
  /** How long it takes until then. */
  lastsMs: number
  /** Which bound ended it before that; null: none did. */
  cutBy: 'actions' | 'turns' | 'time' | null
  /** More than half of the nodes vanished at once: nothing is moved. */
  frozen: boolean
  /** Those that something happens to, and those with something pending. Sorted by name. */
  services: ServiceOutlook[]
}

export type ServiceOutlook = {
  service: string
  wanted: number
  /** Instances that hold a place, by node. */
  before: Record<string, number>
  after: Record<string, number>
  /** Of those after: how many serve. */
  serving: number
}

export type ForecastGiven = {
  /** Instances that the balancer routes to, or waits for, to begin with. */
  routed: ReadonlySet<string>
  isDurable: boolean
  /** Places of each service before whatever was folded into the copy. */
  before: Places
}

/** By service and node. */
export type Places = ReadonlyMap<string, Readonly<Record<string, number>>>

/**
 * Plays on `scratch`, which it changes. Each turn is a few milliseconds of work: who may not stand
 * still for the sum of them does something else between two turns.
 */
export function* forecast(
  scratch: World,
  given: ForecastGiven,
  start: number,
): Generator<void, Forecast, void> {
  const told: Foreseen[] = []
  const obedience = createObedience(scratch, given.routed)
  let now = start
  let births = 0
  const newId = () => {
    births += 1
    return `new-${String(births).padStart(6, '0')}`
  }
  const onAction = (action: Action, id: string | undefined) =>
    told.push(foreseen(scratch, action, id, now - start))
  for (let turn = 1; ; turn += 1) {
    const toldBefore = told.length
    const { routed } = obedience
    const { isDurable } = given
    const { pending, wakeAt } = decide(scratch, { newId, routed, isDurable, onAction }, now)
    const isQuiet = told.length === toldBefore
    const next = Math.min(obedience.dueAt(now), isQuiet ? wakeAt : Math.max(wakeAt, now))
    const cutBy = cut(told.length, turn, next - start)
    const isOver = next === Number.POSITIVE_INFINITY && isQuiet
    if (isOver || cutBy !== null) {
      const actions = told.slice(0, FORECAST_ACTIONS_MAX)
      const end = { actions, pending, lastsMs: now - start, cutBy: isOver ? null : cutBy }
      return { ...end, ...outlook(scratch, end, given.before) }
    }
    if (next !== Number.POSITIVE_INFINITY) now = Math.max(now, next)
    obedience.obey(now)
    yield
  }
}

/** As the loop decides. Of the traffic nothing is foreseen: no guard has a reason to revert. */
function decide(scratch: World, given: DeployGiven, now: number) {
  const judgedAt = holdTrials(scratch, { ...given, meter: { figures: () => undefined } }, now)
  const { pending, wakeAt } = deployAndMove(scratch, given, now)
  foldTopology(scratch, now)
  return { pending, wakeAt: Math.min(judgedAt, wakeAt) }
}

/** The whole forecast at once. */
export function forecastOf(scratch: World, given: ForecastGiven, start: number): Forecast {
  const turns = forecast(scratch, given, start)
  for (;;) {
    const turn = turns.next()
    if (turn.done === true) return turn.value
  }
}

export function placesOf(world: World): Places {
  const places = new Map<string, Record<string, number>>()
  for (const instance of world.tables.instances.values().filter(isHolding)) {
    const mine = places.get(instance.service) ?? {}
    mine[instance.node] = (mine[instance.node] ?? 0) + 1
    places.set(instance.service, mine)
  }
  return places
}

function cut(actions: number, turns: number, ms: number): Forecast['cutBy'] {
  if (actions > FORECAST_ACTIONS_MAX) return 'actions'
  if (turns >= FORECAST_TURNS_MAX) return 'turns'
  return ms > FORECAST_MS_MAX && ms !== Number.POSITIVE_INFINITY ? 'time' : null
}

/** Agents whose workers are alive, and the balancer: each does what it was told a moment ago. */
function createObedience(scratch: World, routedBefore: ReadonlySet<string>) {
  const routed = new Set(routedBefore)
  const due = new Map<string, number>()

  function tasks(): { instance: Instance; ms: number; obey: (now: number) => void }[] {
    return scratch.tables.instances.values().flatMap((instance) => {
      const { id, state, stopTry, retryAt, node } = instance
      if (isServing(instance)) routed.add(id)
      const tell = (kind: 'started' | 'terminated') => (now: number) => {
        const event = { kind: 'started', port: 0, pid: undefined, restarts: 0 } as const
        foldInstance(scratch, id, kind === 'started' ? event : { kind }, now)
      }
      if (state === 'terminating' && stopTry === 0) {
        const obey = () => void routed.delete(id)
        return routed.has(id) ? [{ instance, ms: DRAIN_MS, obey }] : []
      }
      if (scratch.tables.nodes.get(node)?.state !== 'alive') return []
      if (stopTry > 0 && (state === 'terminating' || state === 'pre_terminating')) {
        return [{ instance, ms: STOP_MS, obey: tell('terminated') }]
      }
      const isStarting = state === 'deploying' && retryAt === undefined
      return isStarting ? [{ instance, ms: START_MS, obey: tell('started') }] : []
    })
  }

  /** From when it was first seen to be asked for. */
  function dueAtOf(task: { instance: Instance; ms: number }, now: number): number {
    const { id, state, attempt, stopTry } = task.instance
    const key = `${id} ${state} ${attempt} ${stopTry === 0}`
    const at = due.get(key) ?? now + task.ms
    due.set(key, at)
    return at
  }

  return {
    routed: routed as ReadonlySet<string>,
    dueAt: (now: number) => Math.min(...tasks().map((task) => dueAtOf(task, now))),
    obey(now: number) {
      for (const task of tasks()) if (dueAtOf(task, now) <= now) task.obey(now)
    },
  }
}

function foreseen(
  scratch: World,
  action: Action,
  id: string | undefined,
  afterMs: number,
): Foreseen {
  const instance = id === undefined ? undefined : scratch.tables.instances.get(id)
  return {
    afterMs,
    kind: action.kind,
    service: 'service' in action ? action.service : (instance?.service ?? ''),
    instance: id ?? null,
    node: 'node' in action ? action.node : (instance?.node ?? null),
    why: action.why,
  }
}

function outlook(
  scratch: World,
  { actions, pending }: Pick<Forecast, 'actions' | 'pending'>,
  before: Places,
): Pick<Forecast, 'frozen' | 'services'> {
  const touched = new Set([...actions, ...pending].map(({ service }) => service))
  const after = placesOf(scratch)
  const serving = Map.groupBy(
    scratch.tables.instances.values().filter(isServing),
    ({ service }) => service,
  )
  const services = [...touched].toSorted().map((name) => {
    const service = scratch.tables.services.get(name)
    return {
      service: name,
      wanted: service?.desired === 'running' ? service.config.concurrency : 0,
      before: before.get(name) ?? {},
      after: after.get(name) ?? {},
      serving: serving.get(name)?.length ?? 0,
    }
  })
  return { frozen: factsOf(scratch).frozen !== null, services }
}
