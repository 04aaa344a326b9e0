// Random workers and needs for the placer, and what an obvious placer would choose for them.

import type { Avoided } from '#ctld/deployer/avoid.ts'
import { boardOf, take } from '#ctld/deployer/board.ts'
import { compareBy, criteriaOf } from '#ctld/deployer/criteria.ts'
import { fits } from '#ctld/deployer/fit.ts'
import { type Need, needOf } from '#ctld/deployer/need.ts'
import type { Placed } from '#ctld/deployer/place.ts'
import type { Seat } from '#ctld/deployer/seat.ts'
import type { ServiceConfig } from '#shared/configuration.ts'
import type { Service } from '#shared/model.ts'
import { configOf } from './cluster.ts'
import type { Random } from './seeds.ts'

const MIB = 1_048_576

export function aSeat(name: string, rest: Partial<Seat> = {}): Seat {
  return {
    name,
    closed: undefined,
    labels: {},
    size: undefined,
    isolation: undefined,
    load: 0,
    counts: new Map(),
    ports: new Set(),
    ...{ instanceCount: 0, memory: 0, milliCpu: 0 },
    ...rest,
  }
}

export function aService(config: ServiceConfig, rest: Partial<Service> = {}): Service {
  return {
    name: config.name,
    config,
    revision: 1,
    programRevision: 1,
    revisions: [{ revision: 1, program: 1, config, at: 1 }],
    desired: 'running',
    traffic: { state: 'open' },
    deployment: 'd1',
    createdAt: 1,
    changedAt: 1,
    ...rest,
  }
}

export function needsFor(config: ServiceConfig, count: number, avoid: Avoided = new Map()): Need[] {
  const service = aService(config)
  return Array.from({ length: count }, () =>
    needOf(service, { why: 'concurrency', replaces: undefined, avoid }),
  )
}

export function randomSeats(random: Random): Seat[] {
  return Array.from({ length: random.int(1, 9) }, (_, index) => {
    const services = ['a', 'b', 'c'].filter(() => random.chance(0.3))
    const counts = new Map(services.map((service) => [service, random.int(1, 3)]))
    return aSeat(`w${index + 1}`, {
      closed: random.chance(0.15) ? 'is drained' : undefined,
      labels: {
        ...(random.chance(0.8) ? { zone: random.pick(['x', 'y', 'z']) } : {}),
        ...(random.chance(0.5) ? { disk: random.pick(['ssd', 'hdd']) } : {}),
      },
      size: random.chance(0.9)
        ? { cores: random.int(1, 4), memory: random.int(1, 8) * 256 * MIB }
        : undefined,
      isolation: random.pick(['v2', 'v1', 'none', undefined] as const),
      load: random.int(0, 4) / 4,
      counts,
      ports: random.chance(0.2) ? new Set([8_080]) : new Set(),
      instanceCount: [...counts.values()].reduce((sum, count) => sum + count, 0),
      memory: random.int(0, 3) * 128 * MIB,
      milliCpu: random.int(0, 4) * 250,
    })
  })
}

export function randomConfig(random: Random, name: string): ServiceConfig {
  const isSpread = random.chance(0.3)
  const condition = () =>
    random.pick([
      { label: 'zone', in: ['x', 'y'] },
      { label: 'zone', not_in: ['z'] },
      { label: 'disk', in: ['ssd'] },
      { label: 'disk' },
      { label: 'node', not_in: ['w1'] },
    ])
  return configOf(name, 1, {
    ...(isSpread ? { placement: 'spread', spread: { label: 'zone' } } : {}),
    ...(!isSpread && random.chance(0.3) ? { placement: 'least_loaded' } : {}),
    ...(random.chance(0.3) ? { constraints: [condition()] } : {}),
    ...(random.chance(0.4)
      ? { affinity: [{ label: 'disk', in: ['ssd'], weight: random.int(1, 100) }] }
      : {}),
    ...(random.chance(0.3) ? { max_per_node: random.int(1, 3) } : {}),
    ...(random.chance(0.15) ? { host_port: 'static', max_per_node: 1 } : {}),
    ...(random.chance(0.4) ? { limits: { memory: `${random.int(1, 4) * 128}MiB` } } : {}),
    ...(random.chance(0.2) ? { limits: { cpu: random.pick([0.1, 0.25, 1]), pids: 10 } } : {}),
    priority: random.pick([10, 50, 50, 90]),
  })
}

export function randomNeeds(random: Random): Need[] {
  return ['a', 'b', 'c'].flatMap((name) => {
    const avoid: Avoided = new Map(
      ['w1', 'w2', 'w3']
        .filter(() => random.chance(0.2))
        .map((node) => [node, random.pick(['once', 'often'] as const)]),
    )
    const needs = needsFor(randomConfig(random, name), random.int(0, 12), avoid)
    return needs.map((need) => (random.chance(0.05) ? { ...need, only: 'w2' } : need))
  })
}

/** One need after the other looks at every worker. */
export function obviouslyPlaced(
  needs: readonly Need[],
  seats: readonly Seat[],
  cursor: string | null,
): { places: (string | undefined)[]; cursor: string | null } {
  const board = boardOf(seats)
  const places: (string | undefined)[] = []
  const sorted = needs.toSorted((a, b) => b.demand.priority - a.demand.priority)
  let last = cursor
  for (const need of sorted) {
    const at = board.spots.findIndex(({ seat }) => seat.name === last)
    const criteria = criteriaOf(board, need, at)
    const open = board.spots.filter((spot) => fits(board, spot, need))
    const best = open.toSorted((a, b) => compareBy(criteria, a, b))[0]
    places.push(best?.seat.name)
    if (best === undefined) continue
    take(board, best, need.demand)
    const isRing = need.demand.placement === 'round_robin' && need.only === undefined
    if (isRing) last = best.seat.name
  }
  return { places, cursor: last }
}

export function placesOf(needs: readonly Need[], placed: Placed): (string | undefined)[] {
  const byNeed = new Map(placed.placements.map(({ need, node }) => [need, node]))
  const sorted = needs.toSorted((a, b) => b.demand.priority - a.demand.priority)
  return sorted.map((need) => byNeed.get(need))
}
