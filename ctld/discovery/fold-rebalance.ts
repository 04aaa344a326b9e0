// Folds what becomes of a rebalance into the tables: the record of it, and the one instance that
// is on its way.

import type { Move, Rebalance } from '#shared/model.ts'
import { setFacts, tellNews, type World } from './world.ts'

export function foldRebalance(
  world: World,
  was: Rebalance | null,
  is: Rebalance,
  now: number,
): void {
  setFacts(world, { rebalance: is })
  const isNew = was?.id !== is.id
  if (isNew || was.state !== is.state) {
    const text = isNew ? 'instances are spread anew' : 'spreading instances anew has ended'
    tellNews(world, now, `rebalance.${is.state}`, text, {
      by: is.by,
      moves: is.moves.length,
      done: is.done,
      why: is.why,
    })
  }
}

/** Marks this one and no other; an instance whose move was given up stays where it is. */
export function foldLeaving(world: World, move: Move | undefined, now: number): void {
  for (const instance of world.tables.instances.values()) {
    const isIt = instance.id === move?.instance
    if (isIt === (instance.leaving !== undefined)) continue
    const { leaving: _, ...rest } = instance
    const leaving = isIt ? { leaving: { why: move.why, to: move.to } } : {}
    world.tables.instances.put(instance.id, { ...rest, ...leaving })
    if (!isIt) continue
    const { id, service, node } = instance
    const fields = { instance: id, service, node, to: move.to, why: move.why }
    tellNews(world, now, 'instance.leaving', 'an instance is to change its worker', fields)
  }
}
