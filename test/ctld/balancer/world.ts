// Builders of the facts that a route table is made of, and a random cluster from a seed.

import type { BalancedNode } from '#ctld/balancer/table.ts'
import type { Instance, NodeMetrics, Service, ServiceConfig } from '#shared/model.ts'

export function aConfig(name: string, more: Partial<ServiceConfig> = {}): ServiceConfig {
  return {
    kind: 'service',
    name,
    concurrency: 2,
    image: { path: '.', build: [], build_timeout: '10m', run: ['server'] },
    port: 8080,
    host_port: 'dynamic',
    public: true,
    hosts: [],
    env: {},
    health: { interval: '2s', timeout: '1s', fall: 3, rise: 1, start_timeout: '30s' },
    placement: 'round_robin',
    balance: 'weighted_round_robin',
    stop: { signal: 'SIGTERM', grace: '20s', drain: '30s' },
    update: { strategy: 'rolling', max_surge: 1 },
    timeouts: { connect: '1s', response: '30s' },
    ...more,
  }
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

export type Random = {
  random(): number
  /** 0 … below - 1 */
  below(limit: number): number
  one<T>(list: readonly T[]): T
  shuffled<T>(list: readonly T[]): T[]
}

/** mulberry32: small, and the same everywhere. */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0
  const random = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (limit: number) => Math.floor(random() * limit)
  return {
    random,
    below,
    one<T>(list: readonly T[]): T {
      const chosen = list[below(list.length)]
      if (chosen === undefined) throw new Error('an empty list')
      return chosen
    },
    shuffled(list) {
      const left = [...list]
      return list.map(() => left.splice(below(left.length), 1)[0] as (typeof left)[number])
    },
  }
}

/** Runs a fact for many seeds, or for the one in SEED; the failing seed stands in the message. */
export function forEachSeed(count: number, fact: (random: Random) => void): () => void {
  return () => {
    const only = process.env.SEED
    const seeds = only === undefined ? Array.from({ length: count }, (_, at) => at) : [Number(only)]
    for (const seed of seeds) {
      try {
        fact(randomFrom(seed))
      } catch (error) {
        throw new Error(`fails with SEED=${seed}`, { cause: error })
      }
    }
  }
}

export type Facts = { services: Service[]; instances: Instance[]; nodes: BalancedNode[] }

export function randomFacts(random: Random): Facts {
  const nodes = Array.from({ length: 1 + random.below(5) }, (_, at) =>
    aNode(`w${at + 1}`, {
      state: random.one(['unknown', 'alive', 'suspect', 'reviving', 'dead']),
      metrics: random.one([null, metrics(random.random(), random.random())]),
      metricsAgeMs: random.one([null, 0, 1_000, 60_000]),
    }),
  )
  const services = Array.from({ length: random.below(5) }, (_, at) =>
    aService(
      `s${at}`,
      { concurrency: random.below(4), public: random.below(8) > 0 },
      { desired: random.one(['running', 'running', 'stopped', 'removed']) },
    ),
  )
  const instances = Array.from({ length: random.below(30) }, (_, at) =>
    anInstance(`i${at}`, `s${random.below(5)}`, {
      node: `w${1 + random.below(6)}`,
      revision: 1 + random.below(3),
      state: random.one(['started', 'started', 'started', 'deploying', 'terminating', 'lost']),
      healthy: random.below(4) > 0,
    }),
  )
  return { services, instances, nodes }
}
