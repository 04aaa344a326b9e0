// What holds of every worker whatever is deployed, dies and comes back, in random clusters by seed.

import { expect, test } from 'vitest'
import { demandsOf } from '#ctld/deployer/seat.ts'
import type { Instance } from '#shared/model.ts'
import { Cluster } from '#test/helpers/cluster.ts'
import { forEachSeed, type Random } from '#test/helpers/seeds.ts'

const MIB = 1_048_576

test(
  'no worker has more than its size, nor an instance that it may not have',
  forEachSeed(150, (random) => {
    const world = randomNodes(random)
    for (let step = random.int(3, 12); step > 0; step -= 1) {
      const known = new Map(world.instances)
      mishap(world, random)
      world.settle()
      for (const instance of world.live()) {
        const was = known.get(instance.id)
        if (was?.node === instance.node) continue
        const node = world.nodes.find(({ name }) => name === instance.node)
        expect(node?.state === 'alive' && !node.drained && !node.cordoned, 'it is open').toBe(true)
        expectMeets(world, instance)
      }
      expectRoom(world)
      world.agentsObey().settle()
      expectRoom(world)
    }
  }),
)

function randomNodes(random: Random): Cluster {
  const world = new Cluster(...Array.from({ length: random.int(1, 6) }, (_, n) => `w${n + 1}`))
  for (const node of world.nodes) {
    node.labels = random.chance(0.8) ? { zone: random.pick(['a', 'b']) } : {}
    node.size = { cores: random.int(1, 3), memory: random.int(2, 8) * 256 * MIB }
    node.isolation = random.pick(['v2', 'none', undefined] as const)
  }
  return world
}

function mishap(world: Cluster, random: Random): void {
  const node = random.pick(world.nodes)
  const name = `s${random.int(1, 3)}`
  random.pick([
    () => declareRandom(world, name, random),
    () => declareRandom(world, name, random),
    () => world.kill(node.name),
    () => world.revive(node.name),
    () => world.drain(node.name),
    () => {
      node.cordoned = !node.cordoned
    },
    () => world.want(name, random.pick(['running', 'stopped'] as const)),
    () => failATry(world, random),
  ])()
  world.now += random.int(0, 20_000)
}

function declareRandom(world: Cluster, name: string, random: Random): void {
  world.declare(name, random.int(0, 5), {
    ...(random.chance(0.5) ? { constraints: [{ label: 'zone', in: ['a'] }] } : {}),
    ...(random.chance(0.3) ? { max_per_node: random.int(1, 2) } : {}),
    ...(random.chance(0.3) ? { placement: 'spread', spread: { label: 'zone' } } : {}),
    limits: { memory: `${random.int(1, 4) * 128}MiB`, cpu: random.pick([0.1, 0.5, 1]) },
    env: { V: String(random.int(1, 3)) },
    priority: random.int(0, 100),
  })
}

function failATry(world: Cluster, random: Random): void {
  const starting = world.live().filter(({ state }) => state === 'deploying')
  if (starting.length === 0) return
  const { id, attempt } = random.pick(starting)
  const failure = { error: 'exited with code 1' }
  world.tell(id, { kind: 'failed_to_start', attempt, failure })
  world.now += 20_000
}

function expectMeets(world: Cluster, { service: name, node }: Instance): void {
  const { config } = world.service(name)
  const labels = world.nodes.find((one) => one.name === node)?.labels
  for (const { label, in: among } of config.constraints) expect(among).toContain(labels?.[label])
  expect(world.nodes.find((one) => one.name === node)?.isolation).not.toBe('none')
  const copies = world.live(name).filter((one) => one.node === node && one.state !== 'lost')
  expect(copies.length).toBeLessThanOrEqual(config.max_per_node ?? Number.POSITIVE_INFINITY)
}

function expectRoom(world: Cluster): void {
  const demandAt = demandsOf([...world.services.values()])
  for (const { name, size } of world.nodes) {
    const here = world.live().filter(({ node, state }) => node === name && state !== 'lost')
    const sum = (key: 'memory' | 'milliCpu') =>
      here.reduce((all, instance) => all + (demandAt(instance)?.[key] ?? 0), 0)
    expect(sum('memory'), name).toBeLessThanOrEqual(size?.memory ?? 0)
    expect(sum('milliCpu'), name).toBeLessThanOrEqual((size?.cores ?? 0) * 1_000)
  }
}
