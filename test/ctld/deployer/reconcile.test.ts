// The planner: how many instances there are (Q03), what happens to them when nodes die and return
// (Q05, Q06), how new revisions take over (Q17).

import { describe, expect, test } from 'vitest'
import { CRASH_LOOP_RESTARTS, isHolding, isServing } from '#ctld/instance.ts'
import { Cluster } from '#test/helpers/cluster.ts'

describe('how many', () => {
  test('Q17: scaling down stops the newest on the fullest worker first', () => {
    const world = new Cluster('w1', 'w2', 'w3').declare('a', 4).run()
    const newestOnW1 = world.live('a').filter(({ node }) => node === 'w1')[1]?.id
    world.declare('a', 3).settle()
    expect(world.live('a').filter(({ state }) => state === 'terminating')).toMatchObject([
      { id: newestOnW1 },
    ])
  })

  test('M52: a stopped service has no instance and stays configured', () => {
    const world = new Cluster('w1').declare('a', 2).run().want('a', 'stopped').run()
    expect(world.live()).toHaveLength(0)
    expect(world.services.has('a')).toBe(true)
  })

  test('a removed service is forgotten when its last instance has ended', () => {
    const world = new Cluster('w1').declare('a', 2).run().want('a', 'removed').settle()
    expect(world.services.has('a')).toBe(true)
    expect(world.run().services.has('a')).toBe(false)
  })

  test('Q22: an instance that the balancer still sends to is not stopped before it is drained', () => {
    const world = new Cluster('w1').declare('a', 1).run()
    const id = world.live()[0]!.id
    world.routed.add(id)
    world.want('a', 'stopped').settle()
    expect(world.instances.get(id)).toMatchObject({ state: 'terminating', stopTry: 0 })
    world.routed.delete(id)
    expect(world.settle().instances.get(id)).toMatchObject({ stopTry: 1 })
  })

  test('Q22: the drain has a deadline', () => {
    const world = new Cluster('w1').declare('a', 1).run()
    const id = world.live()[0]!.id
    world.routed.add(id)
    world.want('a', 'stopped').settle()
    expect(world.plan().wakeAt).toBe(world.now + 30_000)
    world.now += 30_000
    expect(world.settle().instances.get(id)).toMatchObject({ stopTry: 1 })
  })
})

describe('death and return', () => {
  test('Q06: what a dead node ran is placed elsewhere at once', () => {
    const world = new Cluster('w1', 'w2', 'w3').declare('a', 3).run().kill('w2').run()
    expect(
      world
        .live('a')
        .filter(isServing)
        .map(({ node }) => node),
    ).toEqual(['w1', 'w3', 'w1'])
  })

  test('Q05: a node that returns keeps its instance, and the copy goes', () => {
    const world = new Cluster('w1', 'w2', 'w3').declare('a', 3).run().kill('w2').run()
    world.revive('w2').run()
    expect(world.places('a')).toBe('w1,w2,w3')
  })

  test('reschedule_after holds the places of a dead node for a while', () => {
    const world = new Cluster('w1', 'w2').declare('a', 2).run()
    world.rescheduleAfterMs = 10_000
    world.kill('w2').settle()
    expect(world.live('a').filter(isHolding)).toHaveLength(1)
    expect(world.plan().wakeAt).toBe(world.now + 10_000)
    world.now += 10_000
    expect(world.run().live('a').filter(isHolding)).toHaveLength(2)
  })

  test('a frozen cluster moves nothing and says so', () => {
    const world = new Cluster('w1', 'w2', 'w3').declare('a', 3).run()
    world.frozen = true
    world.kill('w1').kill('w2').run()
    expect(world.live('a').filter(isServing)).toHaveLength(1)
    expect(world.plan().pending[0]?.why).toContain('frozen')
    world.frozen = false
    expect(world.run().live('a').filter(isServing)).toHaveLength(3)
  })

  test('drain: what runs on a drained node moves, the new one first', () => {
    const world = new Cluster('w1', 'w2').declare('a', 2).run().drain('w1').settle()
    expect(world.live('a').filter(isServing)).toHaveLength(2)
    expect(world.places('a')).toBe('w1,w2,w2')
    expect(world.run().places('a')).toBe('w2,w2')
  })

  test('drain: with no other worker the instance stays and the reason is told', () => {
    const world = new Cluster('w1').declare('a', 1).run().drain('w1').run()
    expect(world.places('a')).toBe('w1')
    expect(world.plan().pending[0]?.why).toBe('w1: is drained')
  })
})

describe('failures', () => {
  const failure = { error: 'exit code 1' }

  test('F18: no other try is made while the disk does not take that it is made', () => {
    const world = new Cluster('w1', 'w2').declare('a', 1).settle()
    const id = world.live()[0]!.id
    world.tell(id, { kind: 'failed_to_start', attempt: 1, failure })
    world.now += 60_000
    world.isDurable = false
    expect(world.settle().instances.get(id)).toMatchObject({ attempt: 1 })
    world.isDurable = true
    expect(world.settle().instances.get(id)).toMatchObject({ attempt: 2 })
  })

  test('S20/S21: six tries, three on the first worker, then the next of the ring, with back-off', () => {
    const world = new Cluster('w1', 'w2', 'w3').declare('a', 1).settle()
    const id = world.live()[0]!.id
    const story: string[] = []
    for (let attempt = 1; attempt <= 6; attempt += 1) {
      const { node } = world.instances.get(id)!
      world.tell(id, { kind: 'failed_to_start', attempt, failure })
      const { retryAt } = world.instances.get(id)!
      story.push(`${node} ${retryAt === undefined ? 'final' : retryAt - world.now}`)
      if (retryAt !== undefined) world.now = retryAt
      world.settle()
    }
    expect(story).toEqual(['w1 1000', 'w1 2000', 'w1 4000', 'w2 8000', 'w3 16000', 'w1 final'])
    expect(world.instances.get(id)).toMatchObject({ state: 'failed_to_start', failure })
    expect(world.run().live()).toHaveLength(0)
  })

  test('a new deployment of the same service tries the failed places again', () => {
    const world = new Cluster('w1').declare('a', 1).settle()
    const id = world.live()[0]!.id
    for (let attempt = 1; attempt <= 6; attempt += 1) {
      world.tell(id, { kind: 'failed_to_start', attempt, failure })
      world.now += 60_000
      world.settle()
    }
    expect(world.live()).toHaveLength(0)
    expect(world.declare('a', 1).run().live().filter(isServing)).toHaveLength(1)
  })

  test('F05/Q06: a crash loop goes on elsewhere only after a pause that doubles', () => {
    const world = new Cluster('w1', 'w2').declare('a', 1).run()
    const pauses: number[] = []
    for (let crash = 0; crash < 3; crash += 1) {
      const { id } = world.live().find(isServing)!
      world.tell(id, { kind: 'crashed', failure, restarts: CRASH_LOOP_RESTARTS })
      world.settle()
      expect(world.live().filter(isHolding)).toHaveLength(0)
      pauses.push(world.plan().wakeAt - world.now)
      world.now = world.plan().wakeAt
      world.run()
    }
    expect(pauses).toEqual([60_000, 120_000, 240_000])
  })

  test('F05: the next try goes to the worker where it did not just crash', () => {
    const world = new Cluster('w1', 'w2', 'w3').declare('a', 1).run()
    world.cursor = 'w3'
    const { id, node } = world.live()[0]!
    world.tell(id, { kind: 'crashed', failure, restarts: CRASH_LOOP_RESTARTS })
    world.now += 60_000
    expect(node).toBe('w1')
    expect(world.run().places()).toBe('w2')
  })

  test('S24: a stop that is never confirmed is repeated, then given up', () => {
    const world = new Cluster('w1').declare('a', 1).run().want('a', 'stopped').settle()
    const { id } = world.live()[0]!
    for (let tries = 0; tries < 6; tries += 1) {
      world.now = world.instances.get(id)!.stopRetryAt!
      world.settle()
    }
    expect(world.instances.get(id)).toMatchObject({ state: 'failed_to_terminate' })
  })
})

describe('a new revision', () => {
  const v2 = { env: { VERSION: '2' } }

  test('Q03: rolling starts one new one beside, and an old one goes when that one serves', () => {
    const world = new Cluster('w1', 'w2', 'w3').declare('a', 3).run().declare('a', 3, v2)
    for (let round = 0; round < 30; round += 1) {
      world.settle()
      expect(world.live('a').filter(isServing).length).toBeGreaterThanOrEqual(3)
      expect(world.live('a').filter(isHolding).length).toBeLessThanOrEqual(4)
      world.agentsObey()
    }
    expect(world.live('a').map(({ revision }) => revision)).toEqual([2, 2, 2])
  })

  test('Q03: with max_surge 0 the old one goes first', () => {
    const update = { update: { strategy: 'rolling', max_surge: 0 } }
    const world = new Cluster('w1', 'w2').declare('a', 2, update).run()
    world.declare('a', 2, { ...update, ...v2 })
    for (let round = 0; round < 30; round += 1) {
      world.settle()
      expect(world.live('a').length).toBeLessThanOrEqual(2)
      world.agentsObey()
    }
    expect(world.live('a').map(({ revision }) => revision)).toEqual([2, 2])
  })

  test('Q17: recreate stops all of the old before it starts the new', () => {
    const update = { update: { strategy: 'recreate' } }
    const world = new Cluster('w1', 'w2').declare('a', 2, update).run()
    world.declare('a', 2, { ...update, ...v2 }).settle()
    const revisions = world.live('a').map(({ revision }) => revision)
    expect(new Set(revisions).size).toBe(1)
    expect(
      world
        .run()
        .live('a')
        .map(({ revision }) => revision),
    ).toEqual([2, 2])
  })

  test('a new revision that fails leaves the old one serving', () => {
    const world = new Cluster('w1', 'w2').declare('a', 2).run().declare('a', 2, v2).settle()
    const { id } = world.live('a').find(({ revision }) => revision === 2)!
    for (let attempt = 1; attempt <= 6; attempt += 1) {
      world.tell(id, { kind: 'failed_to_start', attempt, failure: { error: 'no' } })
      world.now += 60_000
      world.settle()
    }
    expect(
      world
        .run()
        .live('a')
        .map(({ revision }) => revision),
    ).toEqual([1, 1])
  })

  test('where max_per_node leaves no room beside the old one, the old one goes first', () => {
    const world = new Cluster('w1', 'w2').declare('a', 2, { max_per_node: 1 }).run()
    world.declare('a', 2, { max_per_node: 1, ...v2 }).run()
    expect(world.live('a').map(({ revision }) => revision)).toEqual([2, 2])
  })
})
