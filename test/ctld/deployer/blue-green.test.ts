// A whole group takes over at once, and the former one is kept for the way back.

import { describe, expect, test } from 'vitest'
import { hasPlace, isHolding } from '#ctld/instance.ts'
import { programOf } from '#ctld/revision.ts'
import { Cluster } from '#test/helpers/cluster.ts'

const rules = { update: { strategy: 'blue_green', min_healthy: '5s' } }
const v2 = { env: { VERSION: '2' } }

/** Another number of instances is another revision, but the same program. */
const programsOf = (world: Cluster) =>
  world.serving('a').map(({ revision }) => programOf(world.service('a'), revision))

/** Two serve, two of the next revision are healthy beside them. */
function ready(): Cluster {
  const world = new Cluster('w1', 'w2').declare('a', 2, rules).runOut().prove('a')
  return world.declare('a', 2, { ...rules, ...v2 }).run()
}

function switched(): Cluster {
  const world = ready()
  world.now += 5_000
  return world.settle()
}

describe('the switch', () => {
  test('waits until all are healthy for min_healthy, then comes in one plan', () => {
    const world = ready()
    expect(programsOf(world)).toEqual([1, 1])
    expect(world.plan()).toMatchObject({ actions: [], wakeAt: world.now + 5_000 })
    world.now += 5_000
    const kinds = world.plan().actions.map(({ kind }) => kind)
    expect(kinds.toSorted()).toEqual(['admit', 'admit', 'withdraw', 'withdraw'])
    expect(programsOf(world.settle())).toEqual([2, 2])
  })

  test('does not come while one of the new ones is ill', () => {
    const world = ready()
    const { id } = world.live('a').find(({ revision }) => revision === 2)!
    world.tell(id, { kind: 'unhealthy', phase: 'unhealthy', restarts: 0 })
    world.now += 60_000
    expect(programsOf(world.settle())).toEqual([1, 1])
  })

  test('does not come where one of the new ones never started', () => {
    const world = new Cluster('w1', 'w2').declare('a', 2, rules).runOut().prove('a')
    world.declare('a', 2, { ...rules, ...v2 }).settle()
    const { id } = world.live('a').find(({ revision }) => revision === 2)!
    for (let attempt = 1; attempt <= 6; attempt += 1) {
      world.tell(id, { kind: 'failed_to_start', attempt, failure: { error: 'no' } })
      world.now += 60_000
      world.settle()
    }
    expect(programsOf(world.runOut())).toEqual([1, 1])
  })

  test('starts all of the new ones at once', () => {
    const world = new Cluster('w1')
      .declare('a', 3, rules)
      .run()
      .declare('a', 3, { ...rules, ...v2 })
    expect(
      world
        .settle()
        .live('a')
        .filter(({ state }) => state === 'deploying'),
    ).toHaveLength(3)
  })

  test('comes at the number that is asked for by then', () => {
    const world = ready()
      .declare('a', 3, { ...rules, ...v2 })
      .run()
    expect(programsOf(world)).toEqual([1, 1])
    world.now += 5_000
    expect(programsOf(world.settle())).toEqual([2, 2, 2])
    expect(
      programsOf(
        ready()
          .declare('a', 1, { ...rules, ...v2 })
          .runOut(),
      ),
    ).toEqual([2])
  })

  test('needs no other group: where none serves, each is admitted as it comes', () => {
    const world = new Cluster('w1').declare('a', 2, rules).run()
    for (const { id } of world.serving('a')) {
      world.tell(id, { kind: 'crashed', failure: { error: 'no' }, restarts: 0 })
    }
    expect(programsOf(world.declare('a', 2, { ...rules, ...v2 }).run())).toEqual([2, 2])
  })
})

describe('the former group', () => {
  test('runs on, out of the table, until the deployment is settled', () => {
    const world = switched().run()
    expect(world.live('a').filter(isHolding)).toHaveLength(4)
    world.prove('a').run()
    expect(world.live('a').map(({ revision }) => revision)).toEqual([2, 2])
  })

  test('is back in one plan when the new one is reverted', () => {
    const world = switched().revert('a')
    const kinds = world.plan().actions.map(({ kind }) => kind)
    expect(kinds.filter((kind) => kind === 'admit')).toHaveLength(2)
    expect(programsOf(world.settle())).toEqual([1, 1])
    expect(
      world
        .run()
        .live('a')
        .map(({ revision }) => revision),
    ).toEqual([1, 1])
  })

  test('is not kept without a deployment that went well before', () => {
    const world = new Cluster('w1')
      .declare('a', 1, rules)
      .run()
      .declare('a', 1, { ...rules, ...v2 })
    expect(
      world
        .runOut()
        .live('a')
        .map(({ revision }) => revision),
    ).toEqual([2])
  })

  test('outlives a third revision that comes before the second has proven itself', () => {
    const world = switched()
      .declare('a', 2, { ...rules, env: { VERSION: '3' } })
      .runOut()
    expect(programsOf(world)).toEqual([3, 3])
    expect(new Set(world.live('a').map(({ revision }) => revision))).toEqual(new Set([1, 3]))
    expect(programsOf(world.revert('a').settle())).toEqual([1, 1])
  })

  test('is kept at the number that is asked for by then', () => {
    const world = switched()
      .declare('a', 1, { ...rules, ...v2 })
      .settle()
    const kept = world.live('a').filter((one) => isHolding(one) && !hasPlace(one))
    expect(kept.map(({ revision }) => revision)).toEqual([1])
  })

  test('does not stay on a worker that is drained', () => {
    const world = switched().drain('w1').runOut()
    expect(world.live('a').filter(({ node }) => node === 'w1')).toEqual([])
    expect(programsOf(world)).toEqual([2, 2])
  })

  test('does not take the place of a new one that dies: two programs would serve', () => {
    const world = switched()
    const [dead] = world.serving('a')
    world.tell(dead!.id, { kind: 'crashed', failure: { error: 'no' }, restarts: 0 })
    expect(programsOf(world.settle())).toEqual([2])
    expect(programsOf(world.run())).toEqual([2, 2])
  })
})

test('one that returns with its worker before the switch serves with its own group', () => {
  const world = new Cluster('w1', 'w2').declare('a', 2, rules).runOut().prove('a')
  world
    .kill('w2')
    .declare('a', 2, { ...rules, ...v2 })
    .settle()
  expect(programsOf(world)).toEqual([1])
  world.revive('w2').settle()
  expect(programsOf(world)).toEqual([1, 1])
  expect(programsOf(world.runOut())).toEqual([2, 2])
})

test('stopped in the middle, everything goes', () => {
  expect(ready().want('a', 'stopped').run().live('a')).toEqual([])
  expect(switched().want('a', 'stopped').run().live('a')).toEqual([])
})
