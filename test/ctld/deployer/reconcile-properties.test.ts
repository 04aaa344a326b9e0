// What holds of every plan, in random clusters, each from its seed.

import { describe, expect, test } from 'vitest'
import { isHolding, isServing } from '#ctld/instance.ts'
import { Cluster } from '#test/helpers/cluster.ts'
import { forEachSeed, type Random } from '#test/helpers/seeds.ts'

describe('properties by seed', () => {
  test(
    'gives the same plan in whatever order it is told the facts',
    forEachSeed(300, (random) => {
      const world = randomCluster(random)
      const before = world.plan()
      world.instances = new Map(random.shuffle([...world.instances]))
      world.services = new Map(random.shuffle([...world.services]))
      expect(world.plan()).toEqual(before)
    }),
  )

  test(
    'Q03/I2: comes to exactly what was declared and never holds more than the surge',
    forEachSeed(300, (random) => {
      const world = randomCluster(random)
      for (let round = 0; round < 60; round += 1) {
        world.settle()
        for (const { name, config, desired } of world.services.values()) {
          const holding = world.live(name).filter(isHolding).length
          const limit = desired === 'running' ? config.concurrency + 1 : 0
          // A node that returned may bring more, which are told to go in the same plan.
          expect(holding).toBeLessThanOrEqual(limit)
        }
        world.agentsObey()
        world.now += 1_000
      }
      for (const { name, config, desired } of world.services.values()) {
        const serving = world.live(name).filter(isServing).length
        const open = world.nodes.some(({ state, drained }) => state === 'alive' && !drained)
        if (open || desired !== 'running') {
          expect(serving).toBe(desired === 'running' ? config.concurrency : 0)
        }
      }
    }),
  )

  test(
    'a drained or dead node gets nothing, whatever happens',
    forEachSeed(200, (random) => {
      const world = randomCluster(random)
      const closed = new Set(
        world.nodes
          .filter(({ state, drained }) => state !== 'alive' || drained)
          .map(({ name }) => name),
      )
      const known = new Set(world.instances.keys())
      world.run()
      for (const { id, node } of world.instances.values()) {
        if (!known.has(id)) expect(closed.has(node)).toBe(false)
      }
    }),
  )

  test(
    'a plan that was obeyed leaves nothing to do until something happens',
    forEachSeed(200, (random) => {
      const world = randomCluster(random).run()
      expect(world.plan().actions).toEqual([])
    }),
  )
})

function randomCluster(random: Random): Cluster {
  const world = new Cluster(...Array.from({ length: random.int(1, 6) }, (_, n) => `w${n + 1}`))
  for (let step = random.int(1, 12); step > 0; step -= 1) {
    const name = `s${random.int(1, 3)}`
    const node = random.pick(world.nodes).name
    random.pick([
      () => world.declare(name, random.int(0, 5)),
      () => world.declare(name, random.int(0, 5), { env: { V: String(step) } }),
      () => world.want(name, random.pick(['running', 'stopped', 'removed'] as const)),
      () => world.kill(node),
      () => world.revive(node),
      () => world.drain(node),
      () => world.settle(),
      () => world.settle().agentsObey(),
      () => world.run(),
    ])()
  }
  return world
}
