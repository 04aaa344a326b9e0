// Folds the transitions of a worker into the tables: which are alive, which are dead, and what
// that means for their instances.

import { isFinal } from '#ctld/instance.ts'
import type { Machine } from '#shared/configuration.ts'
import type { NodeState } from '#shared/model.ts'
import type { NodeMark } from './document.ts'
import { foldInstance } from './fold-instance.ts'
import { noteReturn } from './fold-node-command.ts'
import {
  factsOf,
  isDown,
  seenOf,
  setFacts,
  tellNews,
  unseen,
  type World,
  workersOf,
} from './world.ts'

/** Gives each worker of the topology its mark, and forgets those that left and are empty. */
export function foldTopology(world: World, now: number): void {
  const { nodes } = world.tables
  for (const machine of workersOf(world)) {
    const mark = nodes.get(machine.name)
    if (mark === undefined) nodes.put(machine.name, newMark(machine.name, now))
    // One that joins later has the whole grace to appear, from now on.
    if (!world.seen.has(machine.name)) world.seen.set(machine.name, unseen(now))
  }
  const listed = new Map(world.config.topology.map((machine) => [machine.name, machine]))
  for (const mark of nodes.values()) {
    if (listed.get(mark.name)?.kind === 'worker') {
      if (mark.leaving !== null) nodes.put(mark.name, { ...mark, leaving: null })
      continue
    }
    if (!isEmpty(world, mark.name) && mark.leaving !== null) continue
    forgetNode(world, mark, now)
  }
}

/** The former life may have ended when a death was on disk and what it cost was not yet. */
export function foldDeaths(world: World, now: number): void {
  for (const mark of world.tables.nodes.values().filter(isDown)) {
    loseInstances(world, mark.name, mark.why, now)
  }
}

/** A worker left the topology: it is drained first, and forgotten when nothing is left on it. */
export function foldLeaving(world: World, machine: Machine): void {
  const mark = world.tables.nodes.get(machine.name)
  if (mark !== undefined) world.tables.nodes.put(machine.name, { ...mark, leaving: machine })
}

export function foldNodeState(
  world: World,
  node: string,
  state: NodeState,
  why: string,
  now: number,
): void {
  const mark = world.tables.nodes.get(node)
  if (mark === undefined || mark.state === state) return
  const was = mark.state
  world.tables.nodes.put(node, { ...mark, state, why, changedAt: now })
  tellNews(world, now, `node.${state}`, 'node changed', { node, was, now: state, why })
  const seen = seenOf(world, node)
  switch (state) {
    case 'suspect':
      world.seen.set(node, {
        ...seen,
        vanishedAt: seen.wasSeen ? now : undefined,
        failedProbes: 0,
        lastProbeAt: Number.NEGATIVE_INFINITY,
      })
      return
    case 'reviving':
      world.seen.set(node, { ...seen, downAt: now, attempts: 0 })
      loseInstances(world, node, why, now)
      return
    case 'dead':
      tellOfDeath(world, node, mark, why)
      return
    case 'alive':
      world.seen.set(node, { ...seen, vanishedAt: undefined, downAt: undefined, attempts: 0 })
      if (was !== 'unknown') tellOfReturn(world, node, was)
      // One that was only suspect has kept what it runs, as has one that outlived the controller.
      if (was === 'unknown' ? !seen.wasSeen : was !== 'suspect') noteReturn(world, now)
      return
    case 'unknown':
      return
  }
}

/** More than half vanished at once: nothing moves until they return or the sysadmin says go. */
export function foldFreeze(world: World, vanished: readonly string[], now: number): void {
  const { frozen } = factsOf(world)
  const added = vanished.filter((name) => !frozen?.nodes.includes(name))
  if (added.length === 0) return
  setFacts(world, {
    frozen: { since: frozen?.since ?? now, nodes: [...(frozen?.nodes ?? []), ...added] },
  })
  tellNews(world, now, 'cluster.frozen', 're-placement is frozen', { nodes: added.join(', ') })
}

export function foldThaw(world: World, why: string, now: number): void {
  const { frozen } = factsOf(world)
  if (frozen === null) return
  // What is known to be gone must not freeze it again in the next sweep.
  for (const node of frozen.nodes) {
    const seen = world.seen.get(node)
    if (seen !== undefined) world.seen.set(node, { ...seen, vanishedAt: undefined })
  }
  setFacts(world, { frozen: null })
  tellNews(world, now, 'cluster.thawed', 're-placement goes on', { why })
}

function newMark(name: string, now: number): NodeMark {
  return {
    name,
    state: 'unknown',
    changedAt: now,
    why: 'has not reported yet',
    drained: false,
    cordoned: false,
    leaving: null,
  }
}

function isEmpty(world: World, node: string): boolean {
  return !world.tables.instances
    .values()
    .some((instance) => instance.node === node && !isFinal(instance) && instance.state !== 'lost')
}

function forgetNode(world: World, mark: NodeMark, now: number): void {
  const why = `${mark.name} left the topology`
  for (const instance of world.tables.instances.values()) {
    if (instance.node !== mark.name || isFinal(instance)) continue
    foldInstance(world, instance.id, { kind: 'node_lost', why }, now)
    foldInstance(world, instance.id, { kind: 'terminate', why, drainMs: 0, stopMs: 0 }, now)
  }
  world.tables.nodes.remove(mark.name)
  world.seen.delete(mark.name)
  for (const incident of ['node_dead', 'mass_failure'] as const) {
    world.occurrences.push({ incident, subject: mark.name, what: 'ends', text: why })
  }
  tellNews(world, now, 'node.removed', 'node left the topology', { node: mark.name })
}

function loseInstances(world: World, node: string, why: string, now: number): void {
  for (const instance of world.tables.instances.values()) {
    if (instance.node !== node || isFinal(instance)) continue
    foldInstance(world, instance.id, { kind: 'node_lost', why: `${node} is dead: ${why}` }, now)
  }
}

function tellOfDeath(world: World, node: string, mark: NodeMark, why: string): void {
  const ip = workersOf(world).find((machine) => machine.name === node)?.ip ?? ''
  const text = `${node} (${ip}) is dead: ${mark.why}; ${why}`
  world.occurrences.push({ incident: 'node_dead', subject: node, what: 'begins', text })
  const instances = world.tables.instances.values()
  for (const lost of instances) {
    if (lost.node !== node || lost.state !== 'lost') continue
    const heir = instances.find((instance) => instance.replaces === lost.id)
    const what =
      heir === undefined
        ? 'not placed elsewhere'
        : heir.state === 'started'
          ? `moved from ${node} to ${heir.node}`
          : `is being started on ${heir.node}`
    const note = `${lost.service}: ${what}`
    world.occurrences.push({ incident: 'node_dead', subject: node, what: 'note', text: note })
  }
}

function tellOfReturn(world: World, node: string, was: NodeState): void {
  const text =
    was === 'dead'
      ? `${node} is back`
      : was === 'reviving'
        ? `${node} came back after a restart attempt`
        : `${node} reports again`
  for (const incident of ['node_dead', 'mass_failure'] as const) {
    world.occurrences.push({ incident, subject: node, what: 'ends', text })
  }
}
