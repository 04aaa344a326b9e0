// Clusters for the benchmark of placement: as many workers, services and instances as asked for,
// as the facts that the planner gets.

import type { Facts, Plan } from '#ctld/deployer/reconcile.ts'
import type { NodeFact } from '#ctld/deployer/seat.ts'
import type { Instance, Service } from '#shared/model.ts'
import { checkServiceConfig } from '#shared/service-config.ts'

export const NOW = 1_000_000
const DIGEST = `sha256:${'ab'.repeat(32)}`
const GIB = 1_073_741_824

export type Shape = { nodes: number; services: number; concurrency: number }
/** plain: round robin and nothing else. rich: constraints, wishes, spread and declared limits. */
export type Flavour = 'plain' | 'rich'

export function factsFor(shape: Shape, flavour: Flavour): Facts {
  return {
    services: Array.from({ length: shape.services }, (_, n) => serviceOf(n, shape, flavour)),
    instances: [],
    nodes: Array.from({ length: shape.nodes }, (_, n) => nodeOf(n)),
    cursor: null,
    frozen: false,
    rescheduleAfterMs: 0,
    placeFrom: 0,
    isDurable: true,
    deployments: new Map(),
    routed: new Set(),
  }
}

/** The facts once the plan was obeyed and everything that it placed serves. */
export function obeyed(facts: Facts, plan: Plan): Facts {
  const services = new Map(facts.services.map((service) => [service.name, service]))
  const instances = [...facts.instances]
  for (const action of plan.actions) {
    const service = action.kind === 'place' ? services.get(action.service) : undefined
    if (action.kind !== 'place' || service === undefined) continue
    instances.push(servingOn(action.node, service, instances.length))
  }
  return { ...facts, instances, cursor: plan.cursor }
}

/** The worker dies with all that it has. */
export function withoutNode(facts: Facts, name: string): Facts {
  return {
    ...facts,
    nodes: facts.nodes.map((node) =>
      node.name === name ? { ...node, state: 'dead', downAt: NOW } : node,
    ),
    instances: facts.instances.map((instance) =>
      instance.node === name ? { ...instance, state: 'lost', healthy: false } : instance,
    ),
  }
}

/** One instance crashed. */
export function withCrash(facts: Facts, index: number): Facts {
  const instances = [...facts.instances]
  const crashed = instances[index]
  if (crashed !== undefined) {
    const failures = [{ node: crashed.node, at: NOW }]
    instances[index] = { ...crashed, state: 'unexpected_crashed', healthy: false, failures }
  }
  return { ...facts, instances }
}

function nodeOf(n: number): NodeFact {
  return {
    name: `w${String(n + 1).padStart(4, '0')}`,
    state: 'alive',
    drained: false,
    cordoned: false,
    forcedUntil: undefined,
    downAt: undefined,
    labels: { zone: `z${n % 3}`, disk: n % 2 === 0 ? 'ssd' : 'hdd', rack: `r${n % 40}` },
    size: { cores: 64, memory: 256 * GIB },
    isolation: 'v2',
    load: (n % 10) / 10,
  }
}

function serviceOf(n: number, { concurrency }: Shape, flavour: Flavour): Service {
  const name = `s${String(n + 1).padStart(4, '0')}`
  const config = checkServiceConfig({
    ...{ name, concurrency, port: 8_080, image: { digest: DIGEST, run: ['node', 'server.js'] } },
    ...(flavour === 'rich' ? richKeys(n) : {}),
  })
  return {
    name,
    config,
    revision: 1,
    programRevision: 1,
    revisions: [{ revision: 1, program: 1, config, at: 1 }],
    desired: 'running',
    traffic: { state: 'open' },
    deployment: `d-${name}`,
    createdAt: 1,
    changedAt: 1,
  }
}

function richKeys(n: number): object {
  const placements = [
    { placement: 'round_robin' },
    { placement: 'spread', spread: { label: 'zone' } },
    { placement: 'least_loaded' },
  ]
  return {
    ...placements[n % 3],
    constraints: [{ label: 'rack', not_in: [`r${n % 40}`] }],
    affinity: n % 2 === 0 ? [{ label: 'disk', in: ['ssd'], weight: 50 }] : [],
    limits: { memory: '256MiB', cpu: 0.05 },
    max_per_node: 20,
    priority: 50 + (n % 3),
  }
}

function servingOn(node: string, service: Service, n: number): Instance {
  return {
    id: `0199d3a0-0000-7000-8000-${String(n).padStart(12, '0')}`,
    service: service.name,
    revision: 1,
    deployment: service.deployment,
    node,
    state: 'started',
    attempt: 1,
    createdAt: 1,
    changedAt: 1,
    why: 'its health check passed',
    port: 20_000,
    pid: 1,
    healthy: true,
    healthyAt: 1,
    admitted: true,
    restarts: 0,
    stopTry: 0,
  }
}
