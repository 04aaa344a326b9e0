// Folds what a user asked of a node into the tables: whether it gets new instances, and whether
// those that it has shall leave. Every check comes before the first write.

import type { CommandResult, NodeCommand } from '#ctld/commands.ts'
import { DRAIN_TIME } from '#shared/drain.ts'
import { durationMs } from '#shared/duration.ts'
import { TucanoError } from '#shared/errors.ts'
import type { NodeMark } from './document.ts'
import { setFacts, tellNews, type World } from './world.ts'

export function foldNodeCommand(world: World, command: NodeCommand, now: number): CommandResult {
  const mark = world.tables.nodes.get(command.node)
  if (mark === undefined) {
    throw new TucanoError('not_found', `there is no worker ${command.node}; see tucano nodes`)
  }
  switch (command.kind) {
    case 'cordon':
      cordon(world, mark, true, now)
      return {}
    case 'uncordon':
      cordon(world, mark, false, now)
      return {}
    case 'drain':
      drain(world, mark, command, now)
      return {}
    case 'undrain':
      undrain(world, mark, now)
      return {}
  }
}

/** A worker came back or takes instances again: it may be time to spread them anew. */
export function noteReturn(world: World, now: number): void {
  const { automatic, after } = world.config.rebalance
  if (automatic) setFacts(world, { rebalanceDueAt: now + durationMs(after) })
}

function cordon(world: World, mark: NodeMark, cordoned: boolean, now: number): void {
  if (mark.cordoned === cordoned) return
  world.tables.nodes.put(mark.name, { ...mark, cordoned })
  const kind = cordoned ? 'node.cordoned' : 'node.uncordoned'
  tellNews(world, now, kind, 'node changed', { node: mark.name })
  if (!cordoned) noteReturn(world, now)
}

/** A drain that goes on gets the new deadline, and force if it had none. */
function drain(
  world: World,
  mark: NodeMark,
  { deadlineMs = durationMs(DRAIN_TIME), force = false }: { deadlineMs?: number; force?: boolean },
  now: number,
): void {
  const was = mark.drain
  const until = now + deadlineMs
  const since = was?.since ?? now
  world.tables.nodes.put(mark.name, {
    ...mark,
    drained: true,
    drain: { since, until, force, isLate: false },
  })
  endLate(world, mark, `the drain of ${mark.name} got another deadline`)
  if (mark.drained && was?.force === force) return
  tellNews(world, now, 'node.drained', 'node changed', {
    node: mark.name,
    why: force ? 'with what is sticky' : '',
  })
}

function undrain(world: World, mark: NodeMark, now: number): void {
  const { name } = mark
  if (world.config.topology.some((machine) => machine.name === name && machine.drain)) {
    throw new TucanoError('conflict', `${name} is drained by the topology: set its drain to false`)
  }
  if (!mark.drained) return
  const { drain: _, ...rest } = mark
  world.tables.nodes.put(name, { ...rest, drained: false })
  endLate(world, mark, `${name} takes instances again`)
  tellNews(world, now, 'node.undrained', 'node changed', { node: name })
  noteReturn(world, now)
}

export function endLate(world: World, mark: NodeMark, text: string): void {
  if (mark.drain?.isLate !== true) return
  world.occurrences.push({ incident: 'drain_late', subject: mark.name, what: 'ends', text })
}
