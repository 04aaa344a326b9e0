// One instance after the other takes over (Q03): when it may, for whom, and who has to wait.

import { describe, expect, test } from 'vitest'
import { isHolding } from '#ctld/instance.ts'
import { Cluster } from '#test/helpers/cluster.ts'

const v2 = { env: { VERSION: '2' } }
const patient = { update: { min_healthy: '5s' } }
const exclusive = { exclusive: true, update: { min_healthy: '5s' } }

describe('the first ones', () => {
  test('are admitted as soon as they are healthy, however long others would have to be', () => {
    const world = new Cluster('w1', 'w2').declare('a', 2, patient).settle()
    expect(world.serving('a')).toHaveLength(0)
    expect(world.agentsObey().settle().serving('a')).toHaveLength(2)
  })

  test('so are those that are added, and those that replace a dead one', () => {
    const world = new Cluster('w1', 'w2').declare('a', 2, patient).run().declare('a', 3, patient)
    expect(world.run().serving('a')).toHaveLength(3)
    expect(world.kill('w2').run().serving('a')).toHaveLength(3)
  })
})

describe('a new revision', () => {
  const updated = () =>
    new Cluster('w1', 'w2', 'w3')
      .declare('a', 3, patient)
      .run()
      .declare('a', 3, { ...patient, ...v2 })

  test('takes a place when it has been healthy for min_healthy, in the plan in which it is given up', () => {
    const world = updated().run()
    const [fresh] = world.live('a').filter(({ revision }) => revision === 2)
    expect(fresh).toMatchObject({ healthy: true, admitted: false })
    expect(world.plan()).toMatchObject({ actions: [], wakeAt: world.now + 5_000 })
    world.now += 5_000
    expect(world.plan().actions).toMatchObject([
      { kind: 'admit', instance: fresh?.id },
      { kind: 'terminate' },
      { kind: 'place' },
    ])
  })

  test('waits anew after an illness', () => {
    const world = updated().run()
    const { id } = world.live('a').find(({ revision }) => revision === 2)!
    world.now += 4_000
    world.tell(id, { kind: 'unhealthy', phase: 'unhealthy', restarts: 0 })
    world.tell(id, { kind: 'started', port: 1, pid: 1, restarts: 0 })
    world.now += 4_000
    expect(world.plan()).toMatchObject({ actions: [], wakeAt: world.now + 1_000 })
  })

  test('takes the place of one that is ill at once: nobody is served worse', () => {
    const world = updated().run()
    const ill = world.serving('a')[1]!
    world.tell(ill.id, { kind: 'unhealthy', phase: 'unhealthy', restarts: 0 })
    expect(world.plan().actions.slice(0, 2)).toMatchObject([
      { kind: 'admit' },
      { kind: 'terminate', instance: ill.id },
    ])
  })

  test('does not take over on a worker that is silent', () => {
    const world = updated().run()
    const { node } = world.live('a').find(({ revision }) => revision === 2)!
    for (const fact of world.nodes) if (fact.name === node) fact.state = 'suspect'
    world.now += 5_000
    expect(world.plan().actions).toEqual([])
  })

  test('goes no further while one of it is ill', () => {
    const world = updated().run()
    world.now += 5_000
    world.run()
    const { id } = world.serving('a').find(({ revision }) => revision === 2)!
    for (const one of world.live('a').filter(({ admitted }) => !admitted)) {
      world.tell(one.id, { kind: 'crashed', failure: { error: 'no' }, restarts: 0 })
    }
    world.tell(id, { kind: 'unhealthy', phase: 'unhealthy', restarts: 0 })
    expect(world.plan().actions).toEqual([])
  })

  test('Q03: is given up for a newer one without ever having served', () => {
    const world = updated()
      .run()
      .declare('a', 3, { ...patient, env: { VERSION: '3' } })
    world.runOut()
    expect(world.serving('a').map(({ revision }) => revision)).toEqual([3, 3, 3])
  })

  test('that is scaled down meanwhile lets the former ones go first', () => {
    const world = updated().run()
    world.now += 5_000
    world
      .run()
      .declare('a', 1, { ...patient, ...v2 })
      .settle()
    expect(world.serving('a').map(({ revision }) => revision)).toEqual([2])
  })

  test('that is scaled up meanwhile fills the new places at once', () => {
    const world = updated()
      .run()
      .declare('a', 6, { ...patient, ...v2 })
    expect(world.run().serving('a')).toHaveLength(6)
  })
})

describe('what must not overlap', () => {
  test('leaves before its successor starts, and the next one only when that one is proven', () => {
    const world = new Cluster('w1', 'w2').declare('a', 2, exclusive).run()
    world.declare('a', 2, { ...exclusive, ...v2 })
    for (let round = 0; round < 6; round += 1) {
      world.settle()
      expect(world.live('a').length).toBeLessThanOrEqual(2)
      world.agentsObey()
    }
    expect(
      world
        .settle()
        .serving('a')
        .map(({ revision }) => revision),
    ).toEqual([1, 2])
    expect(world.plan()).toMatchObject({ actions: [], wakeAt: world.now + 5_000 })
    expect(
      world
        .runOut()
        .serving('a')
        .map(({ revision }) => revision),
    ).toEqual([2, 2])
  })

  test('leaves a drained worker, too, but not for nowhere', () => {
    const world = new Cluster('w1', 'w2').declare('a', 1, exclusive).run().drain('w1')
    expect(world.runOut().places('a')).toBe('w2')
    world.drain('w2').runOut()
    expect(world.serving('a')).toHaveLength(1)
    expect(world.plan().pending[0]?.why).toContain('no worker')
  })
})

describe('room', () => {
  test('nobody goes first for a successor that would have no room even then', () => {
    const world = new Cluster('w1')
      .declare('a', 1, patient)
      .run()
      .declare('a', 1, { ...patient, ...v2 })
    for (const fact of world.nodes) fact.state = 'suspect'
    world.now += 60_000
    expect(
      world
        .run()
        .serving('a')
        .map(({ revision }) => revision),
    ).toEqual([1])
  })

  test('a static port leaves none beside the old one: then that one goes first', () => {
    const fixed = { ...patient, host_port: 'static' }
    const world = new Cluster('w1')
      .declare('a', 1, fixed)
      .run()
      .declare('a', 1, { ...fixed, ...v2 })
    expect(
      world
        .runOut()
        .serving('a')
        .map(({ revision }) => revision),
    ).toEqual([2])
  })
})

describe('a way back', () => {
  const worn = () => {
    const world = new Cluster('w1', 'w2').declare('a', 4, patient).runOut().prove('a')
    return world.declare('a', 4, { ...patient, ...v2 }).runOut()
  }

  test('places all at once, beside those that serve, and waits for no time', () => {
    const world = worn().revert('a').settle()
    expect(world.live('a').filter(isHolding)).toHaveLength(8)
    expect(world.serving('a')).toHaveLength(4)
    const before = world.now
    world.run()
    expect([world.now, ...world.serving('a').map(({ revision }) => revision)]).toEqual([
      before,
      1,
      1,
      1,
      1,
    ])
  })

  test('takes up those of the good revision that still run as they are', () => {
    const world = new Cluster('w1', 'w2').declare('a', 4, patient).runOut().prove('a')
    const before = world.serving('a').map(({ id }) => id)
    world
      .declare('a', 4, { ...patient, ...v2 })
      .run()
      .revert('a')
      .run()
    expect(world.serving('a').map(({ id }) => id)).toEqual(before)
  })

  test('is followed by the next number', () => {
    const world = worn()
      .revert('a')
      .run()
      .declare('a', 4, { ...patient, env: { VERSION: '3' } })
    expect(world.service('a')).toMatchObject({ revision: 3, programRevision: 3 })
  })
})
