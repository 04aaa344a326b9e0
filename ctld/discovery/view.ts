// The world as others may read it (M50–M55): one consistent snapshot of it. Records are handed
// out as they are, never copied, so a service in active_services is the very one that is
// configured (T08).

import { isFinal } from '#ctld/instance.ts'
import type { NodeView, Pending, SecretView, Snapshot, Spare, WaitingMail } from '#ctld/snapshot.ts'
import { compare } from '#shared/compare.ts'
import type { Machine } from '#shared/configuration.ts'
import type { OutboxMail } from './document.ts'
import { factsOf, isDrained, type World, workersOf } from './world.ts'

export type ViewExtra = {
  version: number
  pending: readonly Pending[]
  spare: Spare
  degraded: string | null
  lastEventCursor: number
  tableVersion: number
  secrets: readonly SecretView[]
}

export function snapshotOf(world: World, extra: ViewExtra, now: number): Snapshot {
  const { tables } = world
  const facts = factsOf(world)
  const instances = tables.instances.values().toSorted((a, b) => compare(a.id, b.id))
  const live = instances.filter((instance) => !isFinal(instance))
  const counts = new Map<string, number>()
  for (const { node } of live) counts.set(node, (counts.get(node) ?? 0) + 1)
  const workers = workersOf(world)
  const nodes = workers.map((machine) => nodeView(world, machine, counts, now))
  const listed = new Set(world.config.topology.map((machine) => machine.name))
  const services = tables.services.values().toSorted((a, b) => compare(a.name, b.name))
  const byService = Map.groupBy(live, (instance) => instance.service)
  return {
    ...extra,
    epoch: facts.epoch,
    startedAt: world.startedAt,
    topology: [...world.config.topology, ...workers.filter((machine) => !listed.has(machine.name))],
    nodes,
    alive_nodes: nodes.filter(
      ({ name, state }) => listed.has(name) && (state === 'alive' || state === 'suspect'),
    ),
    dead_nodes: nodes.filter(({ state }) => state === 'dead'),
    configured_services: services,
    active_services: services.flatMap((service) => {
      const mine = byService.get(service.name)
      return mine === undefined ? [] : [{ service, instances: mine }]
    }),
    instances,
    deployments: tables.deployments.values().toSorted((a, b) => compare(a.id, b.id)),
    incidents: facts.incidents,
    outbox: facts.outbox.length,
    waiting: facts.outbox.map(waitingMail),
    frozen: facts.frozen,
    rebalance: facts.rebalance,
    config: facts.config.at(-1) ?? { version: 0, text: '', at: 0, by: 'start' },
    configHistory: facts.config,
  }
}

function waitingMail({ id, mail, tries, nextAt, lastError }: OutboxMail): WaitingMail {
  return { id, subject: mail.subject, tries, next_at: nextAt, last_error: lastError }
}

function nodeView(
  world: World,
  machine: Machine,
  counts: ReadonlyMap<string, number>,
  now: number,
): NodeView {
  const mark = world.tables.nodes.get(machine.name)
  const seen = world.seen.get(machine.name)
  return {
    name: machine.name,
    ip: machine.ip,
    agent_port: machine.agent_port,
    labels: machine.labels,
    state: mark?.state ?? 'unknown',
    why: mark?.why ?? '',
    changedAt: mark?.changedAt ?? 0,
    silentMs: seen?.hasReported ? Math.max(0, Math.round(now - seen.seenAt)) : null,
    drained: isDrained(world, machine),
    drain: mark?.drain ?? null,
    cordoned: mark?.cordoned ?? false,
    metrics: seen?.metrics ?? null,
    agentVersion: seen?.agentVersion ?? null,
    isolation: seen?.isolation ?? null,
    instanceCount: counts.get(machine.name) ?? 0,
  }
}
