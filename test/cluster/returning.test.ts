// A node returns with programs that ran on all the time, while others were started in their place.

import { expect, test } from 'vitest'
import { startCluster, type VirtualCluster } from '#test/helpers/virtual-cluster.ts'

/** `w1` is dead for its controller, its programs run on, and all is whole elsewhere. */
async function withoutFirst(services: Record<string, number>): Promise<VirtualCluster> {
  const cluster = await startCluster()
  for (const [name, count] of Object.entries(services)) await cluster.run(name, count)
  cluster.killAgent('w1')
  await cluster.until(() => cluster.node('w1').state === 'reviving')
  await cluster.until(() => Object.keys(services).every((name) => cluster.isWhole(name)))
  return cluster
}

test.each([3, 4, 6, 7])(
  'Q05: %i: healthy ones are adopted, only the extra copies stop, and always as many serve',
  async (count) => {
    const cluster = await withoutFirst({ api: count, web: 2 })
    const starts = cluster.startCount()
    const kept = cluster.live().filter(({ node }) => node !== 'w1')
    const served = new Set<number>()
    cluster.startAgent('w1')
    await cluster.until(() => {
      served.add(cluster.routed('api').length)
      return cluster.isAlive('w1') && cluster.isWhole('api') && cluster.isWhole('web')
    })
    await cluster.pass(30_000)
    expect([...served]).toEqual([count])
    expect(cluster.startCount()).toBe(starts)
    // One of each on every worker before a second of any, as before its death.
    const counts = ['w1', 'w2', 'w3'].map(
      (name) => cluster.routed('api').filter((node) => node === name).length,
    )
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
    for (const { id, pid, restarts } of cluster.live()) {
      const was = kept.find((one) => one.id === id)
      if (was !== undefined)
        expect({ pid, restarts }).toEqual(was && { pid: was.pid, restarts: was.restarts })
    }
    const ends = [...cluster.finals('api'), ...cluster.finals('web')]
    expect(ends.every(({ state }) => state === 'terminated')).toBe(true)
  },
)

test('Q05: what comes back while its copy still starts takes its place again at once', async () => {
  let isSlow = false
  const behave = () => (isSlow ? { healthyAfterMs: 30_000 } : {})
  const cluster = await startCluster({ behave })
  await cluster.run('api', 3)
  const [first] = cluster.live('api')
  isSlow = true
  cluster.killAgent('w1')
  await cluster.until(() => cluster.live('api').some(({ state }) => state === 'deploying'))
  cluster.startAgent('w1')
  await cluster.until(() => cluster.isWhole('api') && cluster.isAlive('w1'), 10_000)
  expect(cluster.live('api').map(({ id }) => id)).toContain(first?.id)
  expect(cluster.finals('api').map(({ state }) => state)).toEqual(['never_started'])
})

test('Q05: what comes back ill does not take the place of one that serves', async () => {
  let isSick = false
  const behave = () => (isSick ? { healthyAfterMs: Number.POSITIVE_INFINITY } : {})
  const cluster = await startCluster({ behave })
  await cluster.run('api', 3)
  cluster.powerOff('w1')
  await cluster.until(() => cluster.node('w1').state === 'reviving')
  await cluster.until(() => cluster.isWhole('api'))
  isSick = true
  const served = new Set<number>()
  cluster.startAgent('w1')
  await cluster.until(() => {
    served.add(cluster.routed('api').length)
    return cluster.isAlive('w1') && cluster.isWhole('api')
  })
  await cluster.pass(90_000)
  expect([...served]).toEqual([3])
  expect(cluster.routed('api')).not.toContain('w1')
})

test('a drained or cordoned node that returns gives nothing back that it should not', async () => {
  const cluster = await withoutFirst({ api: 3 })
  await cluster.submit({ kind: 'drain', node: 'w1' })
  cluster.startAgent('w1')
  await cluster.until(() => cluster.isAlive('w1'))
  await cluster.until(() => cluster.node('w1').drain?.emptyAt !== undefined)
  expect(cluster.isWhole('api')).toBe(true)
  expect(cluster.routed('api')).not.toContain('w1')
})

test('rebalance.automatic: some time after the return, one at a time and slowly; off by default', async () => {
  for (const automatic of [true, false]) {
    const keys = `rebalance: { automatic: ${automatic}, after: 2m, pause: 30s }`
    const cluster = await startCluster({ keys })
    await cluster.run('api', 6)
    cluster.powerOff('w1')
    await cluster.until(() => cluster.node('w1').state === 'reviving')
    await cluster.until(() => cluster.isWhole('api'))
    cluster.startAgent('w1')
    await cluster.until(() => cluster.isAlive('w1'))
    await cluster.pass(119_000)
    expect(cluster.routed('api')).not.toContain('w1')
    await cluster.pass(20_000)
    expect(cluster.routed('api').filter((node) => node === 'w1')).toHaveLength(automatic ? 1 : 0)
    await cluster.pass(60_000)
    const expected = automatic
      ? ['w1', 'w1', 'w2', 'w2', 'w3', 'w3']
      : ['w2', 'w2', 'w2', 'w3', 'w3', 'w3']
    expect(cluster.routed('api')).toEqual(expected)
    const last = cluster.snapshot().rebalance
    if (automatic) expect(last).toMatchObject({ by: 'controller', state: 'done', done: 2 })
    else expect(last).toBeNull()
  }
})
