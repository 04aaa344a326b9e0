// Where the planner puts instances (Q01, Q02, T03), and what waits, with its reason.

import { describe, expect, test } from 'vitest'
import { Cluster } from '#test/helpers/cluster.ts'

describe('placement', () => {
  test('T03/M30: places in topology order, wraps, and goes on from where it stopped', () => {
    const world = new Cluster('w1', 'w2', 'w3').declare('api', 3).run()
    expect(world.places('api')).toBe('w1,w2,w3')
    world.declare('web', 7).run()
    expect(world.places('web')).toBe('w1,w2,w3,w1,w2,w3,w1')
  })

  test('T03: two services of concurrency 2 in a row get w1,w2 then w3,w1', () => {
    const world = new Cluster('w1', 'w2', 'w3').declare('a', 2).run().declare('b', 2).run()
    expect(world.places('a')).toBe('w1,w2')
    expect(world.places('b')).toBe('w3,w1')
  })

  test('Q01: a death does not shift the ring: the next one goes to the next name', () => {
    const world = new Cluster('w1', 'w2', 'w3', 'w4').declare('a', 2).run()
    world.kill('w1').declare('b', 1).settle()
    expect(world.places('b')).toBe('w4')
  })

  test('M18/Q02: concurrency above the number of workers wraps', () => {
    expect(new Cluster('w1').declare('a', 3).run().places('a')).toBe('w1,w1,w1')
  })

  test('S14: a worker gets no more instances than an order may hold', () => {
    const world = new Cluster('w1').declare('a', 1_000).declare('b', 1_000).declare('c', 1).run()
    expect(world.live()).toHaveLength(2_000)
    expect(world.plan().pending).toEqual([
      { service: 'c', count: 1, why: 'w1: has 2000 instances' },
    ])
  })

  test('what moves goes where the fewest copies are, so that no worker gets them all', () => {
    const world = new Cluster('w1', 'w2', 'w3').declare('a', 3).declare('b', 3).run()
    world.drain('w2').run()
    for (const fact of world.nodes) if (fact.name === 'w2') fact.drained = false
    world.drain('w1').run()
    for (const service of ['a', 'b']) {
      const places = world.live(service).map(({ node }) => node)
      expect(new Set(places), service).toEqual(new Set(['w2', 'w3']))
    }
  })

  test('Q02: what max_per_node forbids stays pending, with a reason for each node', () => {
    const world = new Cluster('w1', 'w2').declare('a', 3, { max_per_node: 1 }).run()
    expect(world.places('a')).toBe('w1,w2')
    expect(world.plan().pending).toEqual([
      {
        service: 'a',
        count: 1,
        why: 'w1, w2: has 1 already (max_per_node 1)',
      },
    ])
  })

  test('Q08: a static host port is given once a node, across services', () => {
    const world = new Cluster('w1', 'w2')
      .declare('a', 1, { host_port: 'static' })
      .declare('b', 2, { host_port: 'static' })
      .run()
    expect(world.live()).toHaveLength(2)
    expect(world.plan().pending[0]?.why).toContain('port conflict: 8080 is taken there')
  })

  test('Q12/S09: without a live worker everything waits, and is placed when one joins', () => {
    const world = new Cluster('w1').kill('w1').declare('a', 2).run()
    expect(world.live()).toHaveLength(0)
    expect(world.plan().pending).toEqual([{ service: 'a', count: 2, why: 'w1: is dead' }])
    expect(world.revive('w1').run().places('a')).toBe('w1,w1')
  })

  test('Q01: least_loaded takes the emptiest, then the least busy worker', () => {
    const world = new Cluster('w1', 'w2').declare('a', 3, { placement: 'least_loaded' })
    world.nodes[0]!.load = 0.9
    expect(world.run().places('a')).toBe('w2,w1,w2')
  })

  test('Q16: right after the start nothing is placed before the known workers have reported', () => {
    const world = new Cluster('w1', 'w2').declare('a', 1)
    world.placeFrom = world.now + 4_000
    expect(world.settle().live()).toHaveLength(0)
    expect(world.plan()).toMatchObject({ wakeAt: world.placeFrom, pending: [{ count: 1 }] })
    world.now += 4_000
    expect(world.run().places('a')).toBe('w1')
  })

  test('a suspect node and a drained one get nothing new', () => {
    const world = new Cluster('w1', 'w2', 'w3').drain('w2')
    world.nodes[0]!.state = 'suspect'
    expect(world.declare('a', 2).run().places('a')).toBe('w3,w3')
  })
})
