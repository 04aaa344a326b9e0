// Decides how instances take each other's places one after the other (Q03, Q17). What is new starts
// beside the old one and, when it has been healthy for long enough, takes its place in the same
// plan: the route table changes in one step. Pure.

import { hasPlace, isServing } from '#ctld/instance.ts'
import type { Pending } from '#ctld/snapshot.ts'
import { compare } from '#shared/compare.ts'
import type { Instance } from '#shared/model.ts'
import type { Fits, Gap } from './gap.ts'
import { leavingOrder, terminate } from './leave.ts'
import { needsOf } from './missing.ts'
import { type Context, isReachable, patienceMs, surgeOf } from './pools.ts'
import type { Action } from './reconcile.ts'

/**
 * `goal`: places that the declared program may take from others; a share of a canary. `adopts`:
 * whether a former program that is there and healthy may take a place that nobody else can.
 */
export type RollingRules = { goal: number; adopts: boolean }

export function rolling(context: Context, rules: RollingRules): Gap {
  const { service, pools } = context
  const { concurrency } = service.config
  const board = boardOf(context)
  const actions = [
    ...dropSurplus(context, board, rules),
    ...fillPlaces(context, board, rules),
    ...dropIdle(context, board),
  ]
  const exchanged = exchange(context, board, rules)
  actions.push(...exchanged.actions)
  const overlaps = surgeOf(context) > 0
  const isFreeing = actions.some(({ kind }) => kind === 'terminate')
  const count = isFreeing && !overlaps ? 0 : wantedCount(context, board, rules)
  const isQuiet = actions.length === 0 && pools.ending.length === 0
  const total = board.placed.length + board.giving.length + board.waiting.length
  const isFull = total >= concurrency && !overlaps
  const firstAt = isQuiet ? goesFirstAt(context, board, rules) : Number.POSITIVE_INFINITY
  return {
    needs: needsOf(context, Math.max(count, 0)),
    actions,
    pending: [],
    whenPlaced: (placed, fits) => {
      const isUnplaced = placed.unplaced.some(({ need }) => need.service === service.name)
      if (firstAt > context.now || !(isFull || isUnplaced)) return { actions: [], pending: [] }
      return firstOut(context, board, fits)
    },
    wakeAt: Math.min(exchanged.wakeAt, firstAt > context.now ? firstAt : Number.POSITIVE_INFINITY),
  }
}

/** Who stands where while a plan is made: what is decided moves them. */
type Board = {
  /** Of the declared program, with a place in the route table. */
  placed: Instance[]
  /** Of the declared program, without one yet. */
  waiting: Instance[]
  /** To be replaced, with a place. */
  giving: Instance[]
  /** To be replaced, without one: they have nothing to give up. */
  idle: Instance[]
}

function boardOf({ pools }: Context): Board {
  const old = [...pools.outdated, ...pools.moving]
  return {
    placed: pools.current.filter(hasPlace),
    waiting: pools.current
      .filter((instance) => !hasPlace(instance))
      .toSorted((a, b) => since(a) - since(b) || compare(a.id, b.id)),
    giving: old.filter(hasPlace),
    idle: old.filter((instance) => !hasPlace(instance)),
  }
}

/** The longest healthy is the first to get a place. */
function since({ healthyAt }: Instance): number {
  return healthyAt ?? Number.POSITIVE_INFINITY
}

/** More than are asked for: fewer are than were, or a node returned with its own. */
function dropSurplus(context: Context, board: Board, { goal }: RollingRules): Action[] {
  const { concurrency } = context.service.config
  const limit = concurrency + surgeOf(context)
  const why = `more than concurrency ${concurrency}`
  const actions: Action[] = []
  const drop = (from: Instance[], count: number, isFirst: (one: Instance) => boolean) => {
    if (count <= 0 || from.length === 0) return
    const gone = new Set(leavingOrder(from, context.mine, isFirst).slice(0, count))
    const stays = (one: Instance) => !gone.has(one)
    board.giving = board.giving.filter(stays)
    board.placed = board.placed.filter(stays)
    board.waiting = board.waiting.filter(stays)
    const current = new Set(context.pools.current)
    actions.push(
      ...[...gone].map((one) => terminate(one, current.has(one) ? why : whyReplaced(one, context))),
    )
  }
  // One that came back with its node may be better placed than the copy that has its place.
  const isUseless = (one: Instance) => !hasPlace(one) && !isReachable(one, context.nodes)
  const current = [...board.placed, ...board.waiting]
  drop(current, current.length - concurrency, isUseless)
  const surplus = () => board.placed.length + board.giving.length - concurrency
  while (surplus() > 0) {
    // A canary that has more than its share, because nobody else was there, gives that up first.
    const over = board.placed.length - goal
    const group = new Set(over > 0 ? board.placed : board.giving)
    const count = over > 0 ? Math.min(over, surplus()) : surplus()
    drop([...board.placed, ...board.giving], count, (one) => group.has(one))
  }
  drop(
    board.waiting,
    board.placed.length + board.giving.length + board.waiting.length - limit,
    isUseless,
  )
  return actions
}

/** A place that nobody has is taken at once: there is no one whose requests could be lost. */
function fillPlaces(context: Context, board: Board, { adopts }: RollingRules): Action[] {
  const { concurrency } = context.service.config
  const free = () => concurrency - board.placed.length - board.giving.length
  const actions: Action[] = []
  for (const instance of board.waiting.filter(isServing)) {
    if (free() <= 0) break
    board.waiting = board.waiting.filter((other) => other !== instance)
    board.placed.push(instance)
    actions.push(admit(instance, `one of ${concurrency}`))
  }
  for (const instance of board.idle.filter(isServing)) {
    if (free() <= 0 || !adopts) break
    board.idle = board.idle.filter((other) => other !== instance)
    board.giving.push(instance)
    actions.push(admit(instance, 'until it is replaced'))
  }
  return actions
}

function dropIdle(context: Context, board: Board): Action[] {
  const { idle } = board
  board.idle = []
  return idle.map((instance) => terminate(instance, whyReplaced(instance, context)))
}

/** Who has been healthy for long enough takes the place of one that has to go, in one step. */
function exchange(context: Context, board: Board, { goal }: RollingRules) {
  const result = { actions: [] as Action[], wakeAt: Number.POSITIVE_INFINITY }
  const ready = board.waiting.filter(
    (instance) => isServing(instance) && isReachable(instance, context.nodes),
  )
  if (ready.length === 0 || board.giving.length === 0) return result
  const order = leavingOrder(board.giving, context.mine, (one) => isMoving(one, context))
  for (const instance of ready) {
    const out = order.find((one) => board.placed.length < goal || isMoving(one, context))
    if (out === undefined) break
    // Whoever does not serve itself has nothing that the other one must be good enough for.
    const healthyFrom = isServing(out) ? since(instance) + patienceMs(context) : context.now
    if (healthyFrom > context.now) {
      result.wakeAt = Math.min(result.wakeAt, healthyFrom)
      continue
    }
    order.splice(order.indexOf(out), 1)
    board.waiting = board.waiting.filter((other) => other !== instance)
    board.giving = board.giving.filter((other) => other !== out)
    board.placed.push(instance)
    result.actions.push(
      admit(instance, `takes the place of ${out.id}`),
      terminate(out, whyReplaced(out, context)),
    )
  }
  return result
}

/** How many to place: what is free at once, beyond that as many as may be held beside. */
function wantedCount(context: Context, board: Board, { goal }: RollingRules): number {
  const { pools, service, missing } = context
  const held = board.placed.length + board.waiting.length + board.giving.length
  const surge = surgeOf(context)
  const ending = surge === 0 ? pools.ending.length : 0
  const free = service.config.concurrency - held - ending
  const room = free + surge
  const isIll = board.placed.some((one) => !isServing(one)) && pools.outdated.length > 0
  if (isIll || pools.failed > 0) return Math.min(missing, free - pools.failed)
  const moves = board.giving.filter((one) => isMoving(one, context)).length
  const share = goal + moves - board.placed.length - board.waiting.length
  return Math.min(missing, room, Math.max(share, free))
}

/**
 * When one may go before its successor comes: they must not overlap, or there is no room beside it.
 * Only while all is well, so that a bad revision does not take one place after the other.
 */
function goesFirstAt(context: Context, board: Board, { goal }: RollingRules): number {
  const { pools, missing, now } = context
  const { placed, waiting, giving } = board
  const canTake = placed.length < goal || giving.some((one) => isMoving(one, context))
  const isBusy = waiting.length > 0 || missing <= 0 || pools.failed > 0 || giving.length === 0
  if (isBusy || !canTake || !placed.every(isServing)) return Number.POSITIVE_INFINITY
  return Math.max(now, ...placed.map((one) => since(one) + patienceMs(context)))
}

/** The first of them whose going makes room for its successor. */
function firstOut(
  context: Context,
  board: Board,
  fits: Fits,
): { actions: Action[]; pending: Pending[] } {
  const order = leavingOrder(board.giving, context.mine, (one) => isMoving(one, context))
  const need = needsOf(context, 1)[0]
  const tried = new Set<string>()
  const out = order.find((one) => {
    // What one of them leaves behind on a worker, another one there leaves as well.
    if (tried.has(one.node)) return false
    tried.add(one.node)
    return need !== undefined && fits(need, one)
  })
  if (out !== undefined) {
    return { actions: [terminate(out, whyReplaced(out, context))], pending: [] }
  }
  const why = 'no worker would take the one that replaces it'
  return { actions: [], pending: [{ service: context.service.name, count: 1, why }] }
}

function isMoving(instance: Instance, { pools }: Context): boolean {
  return pools.moving.includes(instance)
}

export function whyReplaced(instance: Instance, { pools }: Context): string {
  if (pools.outdated.includes(instance)) return 'replaced by a new revision'
  return instance.leaving?.why ?? `its worker ${instance.node} is drained`
}

export function admit(instance: Instance, why: string): Action {
  return { kind: 'admit', instance: instance.id, why }
}
