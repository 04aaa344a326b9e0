// How a new revision takes over, with real agents and a route table that clients would see: by each
// strategy, and with what goes wrong meanwhile. Every step is held against the invariants.

import { describe, expect, test } from 'vitest'
import type { VirtualCluster } from '#test/helpers/virtual-cluster.ts'
import { startCluster } from '#test/helpers/virtual-cluster.ts'

const guard = { watch: '10s' }
const rolling = { update: { min_healthy: '3s', guard } }
const blueGreen = { update: { strategy: 'blue_green', min_healthy: '3s', guard } }
const canary = {
  update: { strategy: 'canary', steps: [10, 50], pause: '20s', min_healthy: '3s', guard },
}
const version = (number: number) => ({ env: { VERSION: String(number) } })

/** Revisions that are routed to, as one sees them over time, each change once. */
async function watch(cluster: VirtualCluster, name: string, ms: number): Promise<string[]> {
  const seen: string[] = []
  const end = cluster.clock.now() + ms
  await cluster.until(() => {
    const is = revisions(cluster, name).join()
    if (seen.at(-1) !== is) seen.push(is)
    return cluster.clock.now() >= end
  }, ms + 1_000)
  return seen
}

function revisions(cluster: VirtualCluster, name: string): number[] {
  const byId = new Map(cluster.snapshot().instances.map(({ id, revision }) => [id, revision]))
  const targets = cluster.route(name)?.targets ?? []
  return targets.map(({ instance }) => byId.get(instance) ?? 0).toSorted()
}

/** Runs the first revision until it has proven itself. */
async function begin(name: string, count: number, rules: object): Promise<VirtualCluster> {
  const cluster = await startCluster()
  await cluster.run(name, count, { ...rules, ...version(1) })
  await cluster.pass(15_000)
  return cluster
}

describe('Q03: the route table sees', () => {
  test('rolling: one exchange after the other, never one less', async () => {
    const cluster = await begin('api', 3, rolling)
    await cluster.deploy('api', 3, { ...rolling, ...version(2) })
    expect(await watch(cluster, 'api', 60_000)).toEqual(['1,1,1', '1,1,2', '1,2,2', '2,2,2'])
    expect(cluster.live('api')).toHaveLength(3)
  })

  test('blue_green: one switch of all', async () => {
    const cluster = await begin('api', 3, blueGreen)
    await cluster.deploy('api', 3, { ...blueGreen, ...version(2) })
    expect(await watch(cluster, 'api', 60_000)).toEqual(['1,1,1', '2,2,2'])
    expect(cluster.live('api')).toHaveLength(3)
  })

  test('canary: a share, a larger one, then the rest', async () => {
    const cluster = await begin('api', 4, canary)
    await cluster.deploy('api', 4, { ...canary, ...version(2) })
    const shareOf = () => {
      const byId = new Map(cluster.snapshot().instances.map((one) => [one.id, one.revision]))
      const targets = cluster.route('api')?.targets ?? []
      const sum = targets.reduce((total, { weight }) => total + weight, 0)
      const fresh = targets.filter(({ instance }) => byId.get(instance) === 2)
      return (100 * fresh.reduce((total, { weight }) => total + weight, 0)) / sum
    }
    const shares: number[] = []
    await cluster.until(() => {
      const share = shareOf()
      if (shares.at(-1) !== share) shares.push(share)
      return share === 100
    }, 120_000)
    expect(shares).toEqual([0, 10, 50, 75, 100])
    await cluster.pass(20_000)
    expect(cluster.service('api').rollout).toBeUndefined()
    expect(cluster.live('api')).toHaveLength(4)
  })

  test('recreate: none, then all of the new ones', async () => {
    const rules = { update: { strategy: 'recreate', guard } }
    const cluster = await begin('api', 2, rules)
    await cluster.deploy('api', 2, { ...rules, ...version(2) })
    const seen = await watch(cluster, 'api', 60_000)
    expect(seen.filter((one) => one.includes('1') && one.includes('2'))).toEqual([])
    // The first ones leave as the command is answered.
    expect([seen[0], seen.at(-1)]).toEqual(['', '2,2'])
  })

  test('exclusive: one less, one after the other', async () => {
    const rules = { exclusive: true, update: { min_healthy: '3s', guard } }
    const cluster = await begin('api', 2, rules)
    await cluster.deploy('api', 2, { ...rules, ...version(2) })
    expect(await watch(cluster, 'api', 60_000)).toEqual(['1', '1,2', '2', '2,2'])
  })
})

test('who leaves is told to end only when its last request is over', async () => {
  const cluster = await begin('api', 1, rolling)
  const [old] = cluster.live('api')
  cluster.world.requestMs = () => 7_000
  await cluster.deploy('api', 1, { ...rolling, ...version(2) })
  const isOld = () => cluster.snapshot().instances.find(({ id }) => id === old?.id)
  await cluster.until(() => isOld()?.state === 'terminating')
  await cluster.pass(6_000)
  expect(isOld()).toMatchObject({ state: 'terminating', stopTry: 0 })
  await cluster.until(() => isOld()?.state === 'terminated', 3_000)
})

describe('meanwhile', () => {
  const update = async (rules: object) => {
    const cluster = await begin('api', 3, rules)
    await cluster.deploy('api', 3, { ...rules, ...version(2) })
    await cluster.pass(4_000)
    return cluster
  }
  const whole = (cluster: VirtualCluster) => () =>
    cluster.isWhole('api') && new Set(revisions(cluster, 'api')).size === 1

  test.each([
    ['rolling', rolling],
    ['blue_green', blueGreen],
    ['canary', canary],
  ])('%s: a worker dies', async (_, rules) => {
    const cluster = await update(rules)
    cluster.powerOff('w2')
    await cluster.until(whole(cluster), 180_000)
    expect(revisions(cluster, 'api')).toEqual([2, 2, 2])
  })

  test.each([
    ['rolling', rolling],
    ['blue_green', blueGreen],
    ['canary', canary],
  ])('%s: the controller is killed and comes back', async (_, rules) => {
    const cluster = await update(rules)
    await cluster.restartController(3_000)
    await cluster.until(whole(cluster), 180_000)
    expect(revisions(cluster, 'api')).toEqual([2, 2, 2])
  })

  test.each([
    ['rolling', rolling],
    ['blue_green', blueGreen],
    ['canary', canary],
  ])('%s: it is scaled, a worker is drained, and a third revision comes', async (_, rules) => {
    const cluster = await update(rules)
    await cluster.submit({ kind: 'scale', service: 'api', concurrency: 5 })
    await cluster.pass(5_000)
    await cluster.submit({ kind: 'drain', node: 'w1' })
    await cluster.pass(5_000)
    await cluster.deploy('api', 2, { ...rules, ...version(3) })
    await cluster.until(whole(cluster), 180_000)
    expect(cluster.routed('api')).not.toContain('w1')
    expect(revisions(cluster, 'api')).toHaveLength(2)
    expect(cluster.service('api').config.env.VERSION).toBe('3')
  })

  test.each([
    ['rolling', rolling],
    ['blue_green', blueGreen],
    ['canary', canary],
  ])('%s: it is stopped', async (_, rules) => {
    const cluster = await update(rules)
    await cluster.submit({ kind: 'stop', service: 'api' })
    await cluster.until(() => cluster.live('api').length === 0)
    expect(cluster.routed('api')).toEqual([])
    await cluster.submit({ kind: 'start', service: 'api' })
    await cluster.until(whole(cluster), 180_000)
    expect(revisions(cluster, 'api')).toEqual([2, 2, 2])
  })
})

test('blue_green: what crashes after the switch is undone in one step, by those that were kept', async () => {
  const cluster = await begin('api', 3, blueGreen)
  const before = cluster.live('api').map(({ id }) => id)
  let crashes = 0
  cluster.world.behave = () => {
    crashes += 1
    return crashes > 2 ? {} : { endsAfterMs: 6_000, code: 1 }
  }
  await cluster.deploy('api', 3, { ...blueGreen, ...version(2) })
  const seen = await watch(cluster, 'api', 60_000)
  expect(seen[0]).toBe('1,1,1')
  expect(seen).toContain('2,2,2')
  expect(seen.at(-1)).toBe('1,1,1')
  expect(seen.filter((one) => one.includes('1') && one.includes('2'))).toEqual([])
  expect(cluster.live('api').map(({ id }) => id)).toEqual(before)
})
