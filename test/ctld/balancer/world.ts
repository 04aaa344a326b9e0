// Builders of the facts that a route table is made of, and a random cluster from a seed.

import type { BalancedNode } from '#ctld/balancer/table.ts'
import type { ServiceConfig } from '#shared/configuration.ts'
import type { Instance, NodeMetrics, Service } from '#shared/model.ts'
import { checkServiceConfig } from '#shared/service-config.ts'
import type { Random } from '#test/helpers/seeds.ts'

export function aConfig(name: string, more: Partial<ServiceConfig> = {}): ServiceConfig {
  const least = { name, concurrency: 2, image: { path: '.', run: ['server'] }, port: 8080 }
  return { ...checkServiceConfig(least), ...more }
}

export function aService(
  name: string,
  config: Partial<ServiceConfig> = {},
  more: Partial<Service> = {},
): Service {
  return {
    name,
    config: aConfig(name, config),
    revision: 1,
    programRevision: 1,
    desired: 'running',
    traffic: { state: 'open' },
    deployment: 'd1',
    createdAt: 0,
    changedAt: 0,
    revisions: [],
    ...more,
  }
}

export function anInstance(id: string, service: string, more: Partial<Instance> = {}): Instance {
  return {
    id,
    service,
    revision: 1,
    deployment: 'd1',
    node: 'w1',
    state: 'started',
    attempt: 1,
    createdAt: 0,
    changedAt: 0,
    why: 'test',
    port: 20_000,
    healthy: true,
    healthyAt: 0,
    admitted: true,
    restarts: 0,
    stopTry: 0,
    ...more,
  }
}

export function aNode(name: string, more: Partial<BalancedNode> = {}): BalancedNode {
  return {
    name,
    ip: `10.0.0.${name.slice(1)}`,
    state: 'alive',
    metrics: null,
    metricsAgeMs: null,
    intervalMs: 2_000,
    ...more,
  }
}

export function metrics(cpu: number, memory = 0): NodeMetrics {
  return {
    cpu,
    cores: 4,
    load: 0,
    memory_total: 100,
    memory_used: memory * 100,
    disk_total: 100,
    disk_used: 0,
    net_rx_per_s: 0,
    net_tx_per_s: 0,
  }
}

export type Facts = { services: Service[]; instances: Instance[]; nodes: BalancedNode[] }

export function randomFacts(random: Random): Facts {
  const nodes = Array.from({ length: random.int(1, 5) }, (_, at) =>
    aNode(`w${at + 1}`, {
      state: random.pick(['unknown', 'alive', 'suspect', 'reviving', 'dead']),
      metrics: random.pick([null, metrics(random.random(), random.random())]),
      metricsAgeMs: random.pick([null, 0, 1_000, 60_000]),
    }),
  )
  const services = Array.from({ length: random.int(0, 4) }, (_, at) =>
    aService(
      `s${at}`,
      { concurrency: random.int(0, 3), public: random.int(0, 7) > 0 },
      { desired: random.pick(['running', 'running', 'stopped', 'removed']) },
    ),
  )
  const instances = Array.from({ length: random.int(0, 29) }, (_, at) =>
    anInstance(`i${at}`, `s${random.int(0, 4)}`, {
      node: `w${random.int(1, 6)}`,
      revision: random.int(1, 3),
      state: random.pick(['started', 'started', 'started', 'deploying', 'terminating', 'lost']),
      healthy: random.int(0, 3) > 0,
    }),
  )
  return { services, instances, nodes }
}
