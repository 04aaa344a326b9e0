// Folds a question into a copy of the world: what if these commands came, these workers died, these
// joined? By the same folds as the real thing; what they refuse is refused here with their words.

import { TucanoError } from '#shared/errors.ts'
import { watchForMassFailure } from './agent-manager/agent-manager.ts'
import { type FoldCommand, foldCommand } from './discovery/fold-command.ts'
import { foldNodeState, foldTopology } from './discovery/fold-node.ts'
import { seenOf, type World, workersOf } from './discovery/world.ts'

export type WhatIf = {
  /** Workers that join, alive, each like the first one that is alive. */
  add?: readonly { name: string; labels: Record<string, string> }[]
  /** Workers that are found dead at once. */
  kill?: readonly string[]
  commands?: readonly FoldCommand['command'][]
}

/** Throws TucanoError (`not_found`, `conflict` …). */
export function foldWhatIf(
  scratch: World,
  { add = [], kill = [], commands = [] }: WhatIf,
  now: number,
): void {
  let count = 0
  const newId = () => {
    count += 1
    return `asked-${count}`
  }
  for (const node of add) foldNewWorker(scratch, node, now)
  foldLoss(scratch, kill, now)
  for (const command of commands) foldCommand(scratch, { command, newId }, now)
}

function foldNewWorker(
  scratch: World,
  { name, labels }: NonNullable<WhatIf['add']>[number],
  now: number,
): void {
  const { topology } = scratch.config
  if (topology.some((machine) => machine.name === name)) {
    throw new TucanoError('conflict', `there is a node ${name} already`)
  }
  const machine = { name, kind: 'worker', ip: '0.0.0.0', agent_port: 0, labels, drain: false }
  scratch.config = { ...scratch.config, topology: [...topology, { ...machine, kind: 'worker' }] }
  foldTopology(scratch, now)
  const alive = scratch.tables.nodes.values().find(({ state }) => state === 'alive')
  const like = alive === undefined ? {} : seenOf(scratch, alive.name)
  const idle = { seenAt: now, hasReported: true, wasSeen: true }
  scratch.seen.set(name, { ...seenOf(scratch, name), ...like, ...idle })
  const mark = scratch.tables.nodes.get(name)
  if (mark !== undefined && alive !== undefined) {
    const { size, isolation } = alive
    const known = { ...(size && { size }), ...(isolation && { isolation }) }
    scratch.tables.nodes.put(name, { ...mark, ...known })
  }
  foldNodeState(scratch, name, 'alive', 'supposed', now)
}

/** Together, so that a loss of more than half freezes what it would really freeze. */
function foldLoss(scratch: World, names: readonly string[], now: number): void {
  const known = new Set(workersOf(scratch).map(({ name }) => name))
  for (const name of names) {
    if (!known.has(name)) {
      throw new TucanoError('not_found', `there is no worker ${name}; see tucano nodes`)
    }
  }
  for (const name of names) foldNodeState(scratch, name, 'suspect', 'supposed', now)
  watchForMassFailure(scratch, now)
  for (const state of ['reviving', 'dead'] as const) {
    for (const name of names) foldNodeState(scratch, name, state, 'supposed', now)
  }
}
