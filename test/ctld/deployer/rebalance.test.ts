// Which moves a rebalance makes: few, each for the better, none that may not be.

import { describe, expect, test } from 'vitest'
import { NOTHING_AVOIDED } from '#ctld/deployer/avoid.ts'
import { boardOf, giveBack, take } from '#ctld/deployer/board.ts'
import { fits } from '#ctld/deployer/fit.ts'
import { demandOf, needOf } from '#ctld/deployer/need.ts'
import { planRebalance, type RebalancePlan } from '#ctld/deployer/rebalance.ts'
import { changeOf, compareChanges, NO_CHANGE } from '#ctld/deployer/rebalance-change.ts'
import { seatsOf } from '#ctld/deployer/reconcile.ts'
import { Cluster } from '#test/helpers/cluster.ts'
import { forEachSeed, type Random } from '#test/helpers/seeds.ts'

/** Runs `declare` while these workers are cordoned: they are empty afterwards. */
function without(closed: readonly string[], world: Cluster, declare: () => void): Cluster {
  for (const fact of world.nodes) fact.cordoned = closed.includes(fact.name)
  declare()
  world.run()
  for (const fact of world.nodes) fact.cordoned = false
  return prove(world)
}

function prove(world: Cluster): Cluster {
  for (const name of world.services.keys()) world.prove(name)
  return world
}

const planOf = (world: Cluster) => planRebalance(world.facts(), world.now)
const textOf = ({ moves }: RebalancePlan) =>
  moves.map(({ service, from, to }) => `${service} ${from} ${to}`)

describe('the plan', () => {
  test('what is spread evenly stays', () => {
    const world = new Cluster('w1', 'w2', 'w3').declare('a', 3).declare('b', 4).run()
    expect(planOf(prove(world))).toEqual({ moves: [], staying: [], isCut: false })
  })

  test('to an empty worker goes its share and no more, the newest first', () => {
    const world = new Cluster('w1', 'w2', 'w3')
    without(['w3'], world, () => world.declare('a', 6))
    const plan = planOf(world)
    expect(textOf(plan)).toEqual(['a w1 w3', 'a w2 w3'])
    expect(plan.moves[0]).toEqual({
      instance: 'i000005',
      service: 'a',
      from: 'w1',
      to: 'w3',
      why: 'instances of it: 3 on w1, 0 on w3',
    })
  })

  test('services of one instance each are spread by how full the workers are', () => {
    const world = new Cluster('w1', 'w2', 'w3')
    without(['w3'], world, () => {
      for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) world.declare(name, 1)
    })
    const { moves } = planOf(world)
    expect(moves.map(({ to }) => to)).toEqual(['w3', 'w3'])
    expect(new Set(moves.map(({ from }) => from))).toEqual(new Set(['w1', 'w2']))
    expect(moves[0]?.why).toBe('instances: 3 on w1, 0 on w3')
  })

  test('spread: the values of the label first, then the workers', () => {
    const world = new Cluster('w1', 'w2', 'w3', 'w4')
    for (const [index, zone] of ['a', 'a', 'b', 'b'].entries()) {
      Object.assign(world.nodes[index] ?? {}, { labels: { zone } })
    }
    const spread = { placement: 'spread', spread: { label: 'zone' } }
    without(['w3', 'w4'], world, () => world.declare('a', 4, spread))
    expect(textOf(planOf(world))).toEqual(['a w1 w3', 'a w2 w4'])
  })

  test('what a constraint no longer allows goes, and no wish is given up for an even spread', () => {
    const world = new Cluster('w1', 'w2', 'w3')
    Object.assign(world.nodes[2] ?? {}, { labels: { disk: 'ssd' } })
    without(['w3'], world, () => {
      world.declare('a', 1, { affinity: [{ label: 'disk', weight: 50 }] })
      world.declare('b', 1)
    })
    world.declare('b', 1, { constraints: [{ label: 'disk' }] }).run()
    expect(textOf(planOf(prove(world)))).toEqual(['a w1 w3', 'b w2 w3'])
  })

  test.each([
    ['sticky', { sticky: true }, 'it is sticky'],
    [
      'exclusive',
      { exclusive: true },
      'its instances may not overlap: to move one would interrupt it',
    ],
    ['max_surge 0', { update: { max_surge: 0 } }, 'its instances may not overlap'],
  ])('%s stays, and it is said why', (_name, extra, why) => {
    const world = new Cluster('w1', 'w2')
    without(['w2'], world, () => world.declare('a', 2, extra))
    const plan = planOf(world)
    expect(plan.moves).toEqual([])
    expect(plan.staying).toMatchObject([{ service: 'a' }])
    expect(plan.staying[0]?.why).toContain(why)
  })

  test('what is being deployed, or not whole, stays', () => {
    const world = new Cluster('w1', 'w2')
    without(['w2'], world, () => world.declare('a', 2))
    world.declare('a', 2, { env: { V: '2' } })
    expect(planOf(world).staying).toMatchObject([
      { why: 'it is not whole, or it is being deployed' },
    ])
    world.run()
    expect(planOf(world).moves).toEqual([])
    expect(planOf(prove(world)).staying).toEqual([])
  })

  test('nothing goes to a worker that is closed, has no room, or on which it failed', () => {
    const closed = [{ drained: true }, { cordoned: true }, { state: 'suspect' as const }]
    for (const change of closed) {
      const world = new Cluster('w1', 'w2')
      without(['w2'], world, () => world.declare('a', 4))
      Object.assign(world.nodes[1] ?? {}, change)
      expect(planOf(world).moves).toEqual([])
    }
    const small = new Cluster('w1', 'w2')
    for (const fact of small.nodes) fact.size = { memory: 1024 ** 3, cores: 4 }
    without(['w2'], small, () => small.declare('a', 2, { limits: { memory: '512MiB' } }))
    expect(planOf(small).moves).toHaveLength(1)
    for (const fact of small.nodes) fact.size = { memory: 256 * 1024 ** 2, cores: 4 }
    expect(planOf(small).moves).toEqual([])

    const failed = new Cluster('w1', 'w2')
    without(['w2'], failed, () => failed.declare('a', 2))
    const [one] = failed.instances.values()
    if (one === undefined) throw new Error('no instance')
    failed.instances.set(one.id, { ...one, failures: [{ node: 'w2', at: failed.now - 1_000 }] })
    expect(planOf(failed).moves).toEqual([])
    failed.now += 300_000
    expect(planOf(failed).moves).toHaveLength(1)
  })

  test('a big one is cut, and says so', () => {
    const world = new Cluster('w1', 'w2')
    without(['w2'], world, () => world.declare('a', 300))
    const plan = planOf(world)
    expect(plan.moves).toHaveLength(100)
    expect(plan.isCut).toBe(true)
  })
})

describe('properties by seed', () => {
  test(
    'each move strictly improves, goes where it may, and after the last there is none',
    forEachSeed(300, (random) => {
      const world = randomWorld(random)
      const { moves, isCut } = planOf(world)
      const board = boardOf(seatsOf(world.facts()))
      for (const { service, from, to, instance } of moves) {
        const was = world.instances.get(instance)
        expect(was?.node).toBe(from)
        const demand = demandOf(world.service(service).config)
        const [left, joined] = [from, to].map((name) =>
          board.spots.find(({ seat }) => seat.name === name),
        )
        if (left === undefined || joined === undefined) throw new Error('no such worker')
        expect(joined.seat.closed).toBeUndefined()
        expect(compareChanges(changeOf(board, demand, left, joined), NO_CHANGE)).toBeLessThan(0)
        const given = { why: '', replaces: undefined, avoid: NOTHING_AVOIDED }
        expect(fits(board, joined, needOf(world.service(service), given))).toBe(true)
        take(board, joined, demand)
        giveBack(board, left, demand)
        if (was !== undefined) world.instances.set(instance, { ...was, node: to })
      }
      expect(new Set(moves.map(({ instance }) => instance)).size).toBe(moves.length)
      // What was moved once is not moved again in one plan; the next one may still find a move.
      if (!isCut) expect(planOf(world).moves.length).toBeLessThanOrEqual(moves.length)
    }),
  )

  test(
    'of one service as few move as there are too many on the workers that have more than a share',
    forEachSeed(200, (random) => {
      const nodes = Array.from({ length: random.int(2, 6) }, (_, index) => `w${index + 1}`)
      const world = new Cluster(...nodes)
      const empty = nodes.filter(() => random.chance(0.5)).slice(1)
      without(empty, world, () => world.declare('a', random.int(1, 12)))
      const counts = nodes.map((name) => world.live('a').filter(({ node }) => node === name).length)
      const total = counts.reduce((sum, count) => sum + count, 0)
      const [share, more] = [Math.floor(total / nodes.length), total % nodes.length]
      // The fullest ones may keep one more each.
      const wanted = counts
        .toSorted((a, b) => b - a)
        .reduce((sum, count, index) => sum + Math.max(0, count - share - (index < more ? 1 : 0)), 0)
      expect(planOf(world).moves).toHaveLength(wanted)
    }),
  )

  test(
    'the order of the facts does not matter',
    forEachSeed(100, (random) => {
      const world = randomWorld(random)
      const before = planOf(world)
      world.instances = new Map(random.shuffle([...world.instances]))
      world.services = new Map(random.shuffle([...world.services]))
      expect(planOf(world)).toEqual(before)
    }),
  )

  test(
    'carried out, it leaves each instance where it was to go, and always as many serve',
    forEachSeed(100, (random) => {
      const world = randomWorld(random)
      const { moves } = planOf(world)
      for (const { instance, service, from, to, why } of moves) {
        const before = new Set(world.live(service).map(({ id }) => id))
        const leaver = world.instances.get(instance)
        if (leaver === undefined) throw new Error('nobody leaves')
        world.instances.set(instance, { ...leaver, leaving: { why, to } })
        const { concurrency } = world.service(service).config
        for (let round = 0; round < 20; round += 1) {
          world.settle()
          expect(world.serving(service)).toHaveLength(concurrency)
          world.agentsObey()
        }
        const after = world.live(service)
        expect(after).toHaveLength(concurrency)
        const [newcomer, ...others] = after.filter(({ id }) => !before.has(id))
        expect({ from, to: newcomer?.node, others }).toEqual({ from, to, others: [] })
        expect(world.instances.get(instance)?.state).toBe('terminated')
      }
    }),
  )
})

/** Settled, but spread as it came: workers were closed for a while, died and came back. */
function randomWorld(random: Random): Cluster {
  const nodes = Array.from({ length: random.int(2, 6) }, (_, index) => `w${index + 1}`)
  const world = new Cluster(...nodes)
  for (const fact of world.nodes) {
    fact.labels = random.chance(0.8) ? { zone: random.pick(['a', 'b', 'c']) } : {}
    fact.cordoned = random.chance(0.4)
  }
  const first = world.nodes[0]
  if (first !== undefined) first.cordoned = false
  for (let index = random.int(1, 5); index > 0; index -= 1) {
    const extra = random.pick([
      {},
      { max_per_node: random.int(1, 3) },
      { placement: 'least_loaded' },
      { placement: 'spread', spread: { label: 'zone' } },
      { affinity: [{ label: 'zone', in: ['a'], weight: random.int(1, 100) }] },
      { constraints: [{ label: 'zone', not_in: ['b'] }] },
      { host_port: 'static', port: 8_000 + index },
      { sticky: true },
      { exclusive: true },
    ])
    world.declare(`s${index}`, random.int(0, 6), extra)
    world.run()
  }
  if (random.chance(0.3)) {
    const node = random.pick(nodes)
    world.kill(node).run().revive(node).run()
  }
  for (const fact of world.nodes) fact.cordoned = random.chance(0.1)
  return prove(world)
}
