// Decides who leaves first where some have to. Pure.

import { isHolding, isServing } from '#ctld/instance.ts'
import type { Instance } from '#shared/model.ts'
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
  const left = [...from]
  const order: Instance[] = []
  while (left.length > 0) {
    const first = left.reduce((a, b) => (isBefore(b, a, { perNode, isFirst }) ? b : a))
    left.splice(left.indexOf(first), 1)
    perNode.set(first.node, (perNode.get(first.node) ?? 1) - 1)
    order.push(first)
  }
  return order
}

export function terminate(instance: Instance, why: string): Action {
  return { kind: 'terminate', instance: instance.id, why }
}

function isBefore(
  a: Instance,
  b: Instance,
  by: { perNode: ReadonlyMap<string, number>; isFirst: (instance: Instance) => boolean },
): boolean {
  const serving = Number(isServing(a)) - Number(isServing(b))
  const named = Number(by.isFirst(b)) - Number(by.isFirst(a))
  const fullest = (by.perNode.get(b.node) ?? 0) - (by.perNode.get(a.node) ?? 0)
  return (serving || named || fullest || (a.id < b.id ? 1 : -1)) < 0
}
