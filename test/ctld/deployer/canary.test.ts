// A new revision gets a growing share: how many places, for how long, and what ends it.

import { describe, expect, test } from 'vitest'
import { goalOf } from '#ctld/deployer/canary.ts'
import { programOf } from '#ctld/revision.ts'
import { Cluster } from '#test/helpers/cluster.ts'

const update = { strategy: 'canary', min_healthy: '5s', steps: [10, 50], pause: '30s' }
const v2 = { env: { VERSION: '2' } }

function begun(concurrency: number): Cluster {
  const world = new Cluster('w1', 'w2', 'w3').declare('a', concurrency, { update }).runOut()
  return world.prove('a').declare('a', concurrency, { update, ...v2 })
}

/** Another number of instances is another revision, but the same program. */
const newOnes = (world: Cluster) =>
  world.serving('a').filter(({ revision }) => programOf(world.service('a'), revision) === 2)

/** Until nothing happens without the time of the pause. */
function upToPause(world: Cluster): Cluster {
  for (let turn = 0; turn < 100; turn += 1) {
    const { wakeAt } = world.run().plan()
    if (wakeAt - world.now > 5_000) return world
    world.now = wakeAt
  }
  throw new Error('it never pauses')
}

test.each([
  [10, 4, 1],
  [50, 4, 2],
  [50, 5, 2],
  [10, 100, 10],
  [99, 2, 1],
  [1, 1000, 10],
  [100, 7, 7],
])('%i %% of %i are %i places', (percent, concurrency, count) => {
  expect(goalOf({ since: 0, step: 0, percent }, concurrency)).toBe(count)
})

describe('its steps', () => {
  test('each takes its places, pauses and goes on; the rest follows one by one', () => {
    const world = begun(4)
    const seen: [number | undefined, number][] = []
    for (let step = 0; step < 2; step += 1) {
      upToPause(world)
      seen.push([world.service('a').rollout?.percent, newOnes(world).length])
      expect(world.plan()).toMatchObject({ actions: [], wakeAt: world.now + 30_000 })
      world.now += 30_000
    }
    world.runOut()
    expect(seen).toEqual([
      [10, 1],
      [50, 2],
    ])
    expect(newOnes(world)).toHaveLength(4)
    expect(world.service('a')).not.toHaveProperty('rollout')
  })

  test('a pause begins anew when one of it was ill', () => {
    const world = upToPause(begun(4))
    world.now += 20_000
    const { id } = newOnes(world)[0]!
    world.tell(id, { kind: 'unhealthy', phase: 'unhealthy', restarts: 0 })
    world.now += 60_000
    expect(world.settle().service('a').rollout).toMatchObject({ step: 0 })
    world.tell(id, { kind: 'started', port: 1, pid: 1, restarts: 0 })
    expect(world.plan().wakeAt).toBe(world.now + 30_000)
  })

  test('what changes no program keeps the share that it has reached', () => {
    const world = upToPause(begun(4))
    world.now += 30_000
    upToPause(world).declare('a', 8, { update, ...v2 })
    expect(upToPause(world).service('a').rollout).toMatchObject({ percent: 50 })
    expect(newOnes(world).length).toBeGreaterThanOrEqual(4)
  })

  test('places that nobody else can fill are filled, beyond the share', () => {
    const world = upToPause(begun(4))
    const old = world.serving('a').find(({ revision }) => revision === 1)!
    world.tell(old.id, { kind: 'crashed', failure: { error: 'no' }, restarts: 0 })
    expect(world.run().serving('a')).toHaveLength(4)
    expect(newOnes(world)).toHaveLength(2)
    expect(world.service('a').rollout).toMatchObject({ percent: 10 })
  })
})

describe('its end', () => {
  test('reverted, the former ones take the places back without any step', () => {
    const world = upToPause(begun(4)).revert('a')
    const before = world.now
    world.run()
    expect(world.now).toBe(before)
    expect(world.serving('a').map(({ revision }) => revision)).toEqual([1, 1, 1, 1])
    expect(world.service('a')).not.toHaveProperty('rollout')
  })

  test('scaled on the way back, they take them back without any step as well', () => {
    const world = upToPause(begun(4)).revert('a').declare('a', 6, { update })
    const before = world.now
    world.runOut()
    expect(world.now - before).toBeLessThan(30_000)
    expect(newOnes(world)).toEqual([])
    expect(world.serving('a')).toHaveLength(6)
  })

  test('a third revision begins at the first step again', () => {
    const world = upToPause(begun(4))
    world.now += 30_000
    upToPause(world).declare('a', 4, { update, env: { VERSION: '3' } })
    expect(upToPause(world).service('a').rollout).toMatchObject({ step: 0, percent: 10 })
    world.runOut()
    expect(new Set(world.serving('a').map(({ revision }) => revision))).toEqual(new Set([3]))
  })

  test('another strategy in the middle rolls the rest and has no share', () => {
    const world = upToPause(begun(4)).declare('a', 4, { ...v2 })
    expect(world.settle().service('a')).not.toHaveProperty('rollout')
    expect(newOnes(world.runOut())).toHaveLength(4)
  })

  test('with a single place it is a rolling update', () => {
    const world = begun(2).declare('a', 1, { update: { ...update, strategy: 'rolling' }, ...v2 })
    const service = world.service('a')
    const config = { ...service.config, update: { ...service.config.update, strategy: 'canary' } }
    world.services.set('a', { ...service, config: config as typeof service.config })
    expect(newOnes(world.runOut())).toHaveLength(1)
  })
})
