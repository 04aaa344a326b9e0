// What a drain asks of the other workers, what holds it up, and what force does.

import { describe, expect, test } from 'vitest'
import { holdUps, holdUpsText, unplaceable } from '#ctld/deployer/drain.ts'
import { isHolding } from '#ctld/instance.ts'
import { Cluster } from '#test/helpers/cluster.ts'
import { forEachSeed, type Random } from '#test/helpers/seeds.ts'

const homeless = (world: Cluster, node: string) => unplaceable(world.facts(), node, world.now)
const here = (world: Cluster, node: string) =>
  world.live().filter((one) => one.node === node && isHolding(one))

function force(world: Cluster, node: string, until: number): Cluster {
  for (const fact of world.nodes) {
    if (fact.name === node) Object.assign(fact, { drained: true, forcedUntil: until })
  }
  return world
}

describe('whether the others can hold it', () => {
  test('they can: nothing is said', () => {
    const world = new Cluster('w1', 'w2').declare('a', 2).run()
    expect(homeless(world, 'w1')).toEqual([])
  })

  test('each service that cannot, with how many and why', () => {
    const world = new Cluster('w1', 'w2')
      .declare('a', 2, { max_per_node: 1 })
      .declare('b', 2, { host_port: 'static' })
      .declare('c', 2)
      .run()
    expect(homeless(world, 'w1')).toEqual(
      [
        { service: 'a', count: 1, why: 'w1: is drained; w2: has 1 already (max_per_node 1)' },
        { service: 'b', count: 1, why: 'w1: is drained; w2: has 1 already (max_per_node 1)' },
      ].map((one) =>
        one.service === 'b' ? { ...one, why: expect.stringContaining('8080') } : one,
      ),
    )
  })

  test('what stays anyway, and what is to stop, needs no place', () => {
    const world = new Cluster('w1', 'w2')
      .declare('a', 2, { sticky: true, max_per_node: 1 })
      .declare('b', 2, { max_per_node: 1 })
      .run()
      .want('b', 'stopped')
    expect(homeless(world, 'w1')).toEqual([])
  })

  test('closed workers hold nothing', () => {
    const world = new Cluster('w1', 'w2', 'w3').declare('a', 1).run()
    Object.assign(world.nodes[1] ?? {}, { cordoned: true })
    world.drain('w3')
    expect(homeless(world, 'w1')[0]?.why).toBe('w1, w3: is drained; w2: is cordoned')
  })
})

describe('what holds it up', () => {
  const holds = (world: Cluster, node = 'w1') =>
    holdUps(world.facts(), node, world.plan().pending).map(({ service, why, isStuck }) => ({
      service,
      why,
      isStuck,
    }))

  test('the turn of another one, a start, requests, the end', () => {
    const world = new Cluster('w1', 'w2').declare('a', 4).run().drain('w1')
    expect(holds(world)).toEqual([
      { service: 'a', why: 'it waits for its turn', isStuck: false },
      { service: 'a', why: 'it waits for its turn', isStuck: false },
    ])
    world.settle()
    const starting = 'the one on w2 that takes its place is starting'
    expect(holds(world).map(({ why }) => why)).toEqual([starting, starting])
    world.routed = new Set(world.live('a').map(({ id }) => id))
    world.agentsObey().settle()
    expect(holds(world).map(({ why }) => why)).toContain('requests are still in flight')
    world.routed.clear()
    world.settle()
    expect(holds(world).map(({ why }) => why)).toContain('it is stopping')
    expect(holds(world.run())).toEqual([])
  })

  test('no place, with the reason of each worker', () => {
    const world = new Cluster('w1', 'w2').declare('a', 2, { max_per_node: 1 }).run()
    force(world, 'w1', world.now + 60_000).settle()
    expect(holds(world)).toEqual([
      {
        service: 'a',
        why: expect.stringContaining('no place elsewhere: w1: is drained; w2: has 1 already'),
        isStuck: false,
      },
    ])
  })

  test('what is sticky, unless it is forced', () => {
    const world = new Cluster('w1').declare('a', 1, { sticky: true }).run().drain('w1').run()
    expect(holds(world)).toEqual([
      { service: 'a', why: 'it is sticky: it stays unless it is forced', isStuck: true },
    ])
    force(world, 'w1', world.now + 60_000)
    expect(holds(world)[0]?.isStuck).toBe(false)
  })

  test('in words: services, with how many', () => {
    const one = { instance: 'i1', service: 'a', why: 'it waits', isStuck: false }
    expect(holdUpsText([one, { ...one, instance: 'i2' }, { ...one, service: 'b' }])).toBe(
      'a ×2 (it waits), b (it waits)',
    )
  })
})

describe('properties by seed', () => {
  test(
    'what it says of the room is what then happens: all goes, or as many stay as it said',
    forEachSeed(300, (random) => {
      const world = randomWorld(random)
      const node = random.pick(world.nodes).name
      const missing = homeless(world, node).reduce((sum, { count }) => sum + count, 0)
      world.drain(node).runOut()
      expect(here(world, node)).toHaveLength(missing)
    }),
  )

  test(
    'by force nothing is left at the deadline, and until then as many serve as can',
    forEachSeed(200, (random) => {
      const world = randomWorld(random)
      const node = random.pick(world.nodes).name
      const before = new Map(
        [...world.services.keys()].map((name) => [name, world.serving(name).length]),
      )
      const until = world.now + 60_000
      force(world, node, until)
      for (let round = 0; round < 40; round += 1) {
        world.settle()
        for (const [name, count] of before) {
          if (world.service(name).config.exclusive) continue
          expect(world.serving(name).length).toBeGreaterThanOrEqual(count)
        }
        world.agentsObey()
      }
      expect(world.plan().wakeAt).toBeLessThanOrEqual(
        here(world, node).length > 0 ? until : Number.POSITIVE_INFINITY,
      )
      world.now = until
      world.runOut()
      expect(here(world, node)).toEqual([])
    }),
  )

  test(
    'a cordoned worker gets nothing, whatever happens, and keeps what it has',
    forEachSeed(200, (random) => {
      const world = randomWorld(random)
      const cordoned = world.nodes.filter(() => random.chance(0.5))
      for (const fact of cordoned) fact.cordoned = true
      const known = new Set(world.instances.keys())
      const kept = world.live().filter(({ node }) => cordoned.some(({ name }) => name === node))
      world.runOut()
      expect(world.live().map(({ id }) => id)).toEqual(
        expect.arrayContaining(kept.map(({ id }) => id)),
      )
      for (let step = 0; step < 6; step += 1) change(world, random)
      world.runOut()
      const names = new Set(cordoned.map(({ name }) => name))
      for (const { id, node } of world.instances.values()) {
        if (!known.has(id)) expect(names.has(node)).toBe(false)
      }
    }),
  )
})

function change(world: Cluster, random: Random): void {
  const node = random.pick(world.nodes).name
  const name = random.pick([...world.services.keys()])
  random.pick([
    () => world.declare(name, random.int(0, 6)),
    () => world.declare(name, random.int(0, 6), { env: { V: String(random.int(1, 9)) } }),
    () => world.kill(node).settle().agentsObey(),
    () => world.kill(node).run().revive(node),
    () => world.drain(node).settle(),
    () => world.run(),
  ])()
}

function randomWorld(random: Random): Cluster {
  const nodes = Array.from({ length: random.int(2, 5) }, (_, index) => `w${index + 1}`)
  const world = new Cluster(...nodes)
  for (const fact of world.nodes) fact.labels = { zone: random.pick(['a', 'b']) }
  for (let index = random.int(1, 4); index > 0; index -= 1) {
    const extra = random.pick([
      {},
      { max_per_node: random.int(1, 3) },
      { placement: 'least_loaded' },
      { constraints: [{ label: 'zone', in: ['a'] }] },
      { host_port: 'static', port: 8_000 + index },
    ])
    world.declare(`s${index}`, random.int(0, 6), extra)
  }
  return world.runOut()
}
