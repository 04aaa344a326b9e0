// Decides who leaves first where some have to. Pure.

import { isHolding, isServing } from '#ctld/instance.ts'
import { compare } from '#shared/compare.ts'
import type { Instance } from '#shared/model.ts'
import { heapOf, removeFirst, sink } from './heap.ts'
import type { Action } from './reconcile.ts'

/**
 * All of `from`, the first to leave first: who does not serve, whom `isFirst` names, then the
 * newest on the fullest worker (Q17).
 */
export function leavingOrder(
  from: readonly Instance[],
  mine: readonly Instance[],
  isFirst: (instance: Instance) => boolean = () => false,
): Instance[] {
  const perNode = new Map<string, number>()
  for (const { node } of mine.filter(isHolding)) perNode.set(node, (perNode.get(node) ?? 0) + 1)
  const rankOf = (one: Instance) => (isServing(one) ? 2 : 0) + (isFirst(one) ? 0 : 1)
  const ranks = [...Map.groupBy(from, rankOf)].sort(([a], [b]) => a - b)
  return ranks.flatMap(([, alike]) => fullestFirst(alike, perNode))
}

/** One of the fullest worker after the other; `perNode` falls with each. */
function fullestFirst(alike: readonly Instance[], perNode: Map<string, number>): Instance[] {
  const byNode = Map.groupBy(
    alike.toSorted((a, b) => compare(a.id, b.id)),
    ({ node }) => node,
  )
  const isBefore = ([node, left]: Group, [other, others]: Group) =>
    (perNode.get(other) ?? 0) - (perNode.get(node) ?? 0) ||
    compare(others.at(-1)?.id ?? '', left.at(-1)?.id ?? '')
  const heap = heapOf([...byNode], isBefore)
  const order: Instance[] = []
  for (let fullest = heap[0]; fullest !== undefined; fullest = heap[0]) {
    const [node, left] = fullest
    const newest = left.pop()
    if (newest !== undefined) order.push(newest)
    perNode.set(node, (perNode.get(node) ?? 1) - 1)
    if (left.length === 0) removeFirst(heap, isBefore)
    else sink(heap, isBefore)
  }
  return order
}

type Group = [node: string, left: Instance[]]

export function terminate(instance: Instance, why: string): Action {
  return { kind: 'terminate', instance: instance.id, why }
}
