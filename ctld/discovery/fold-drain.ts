// Folds how far the drains have come: which worker is empty, which passed its deadline and why.

import type { NodeDrain } from '#shared/model.ts'
import { endLate } from './fold-node-command.ts'
import { tellNews, type World } from './world.ts'

export type DrainStep = { node: string; left: number; why: string; isOver: boolean }

export function foldDrain(world: World, step: DrainStep, now: number): void {
  const { node, left, why } = step
  const mark = world.tables.nodes.get(node)
  if (mark?.drain === undefined) return
  const change = (drain: NodeDrain) => world.tables.nodes.put(node, { ...mark, drain })
  if (left === 0) {
    if (mark.drain.emptyAt !== undefined) return
    const ms = now - mark.drain.since
    change({ ...mark.drain, emptyAt: now, isLate: false })
    endLate(world, mark, `${node} is empty`)
    tellNews(world, now, 'node.empty', 'a drained node is empty', { node, ms })
    return
  }
  // Somebody's late instance came back with it, or it was never empty.
  const { emptyAt: _, ...drain } = mark.drain
  if (mark.drain.emptyAt !== undefined) change(drain)
  if (!step.isOver || mark.drain.isLate) return
  change({ ...drain, isLate: true })
  tellNews(world, now, 'node.drain_late', 'a node is not empty at the deadline', {
    node,
    left,
    why,
  })
  const text = `${node} is not empty at the deadline of its drain: ${why}`
  world.occurrences.push({ incident: 'drain_late', subject: node, what: 'begins', text })
}
