// Cordon, drain, rebalance and the return of a node, on a whole cluster.

import { expect, test } from 'vitest'
import type { Behaviour, Start } from '#test/fakes/programs.ts'
import { startCluster, type VirtualCluster } from '#test/helpers/virtual-cluster.ts'

/** Never fewer than this many serve while `during` goes on. */
async function without(cluster: VirtualCluster, service: string, isDone: () => boolean) {
  let fewest = Number.POSITIVE_INFINITY
  let most = 0
  await cluster.until(() => {
    const { length } = cluster.routed(service)
    fewest = Math.min(fewest, length)
    most = Math.max(most, length)
    return isDone()
  }, 300_000)
  return { fewest, most }
}

test('cordon: the node gets nothing new and keeps what it has; uncordon lets it take again', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 3)
  await cluster.submit({ kind: 'cordon', node: 'w2' })
  expect(cluster.node('w2')).toMatchObject({ cordoned: true, drained: false })
  await cluster.run('web', 4)
  expect(cluster.places('web')).not.toContain('w2')
  expect(cluster.routed('api')).toEqual(['w1', 'w2', 'w3'])
  await cluster.restartController()
  expect(cluster.node('w2').cordoned).toBe(true)
  await cluster.submit({ kind: 'uncordon', node: 'w2' })
  await cluster.run('etc', 2)
  expect(cluster.places('etc')).toContain('w2')
})

test('drain: one after the other moves, always as many serve, and its end is told', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 6)
  await cluster.submit({ kind: 'drain', node: 'w1' })
  const { fewest, most } = await without(
    cluster,
    'api',
    () => cluster.node('w1').drain?.emptyAt !== undefined,
  )
  expect({ fewest, most }).toEqual({ fewest: 6, most: 6 })
  expect(cluster.live('api').filter(({ node }) => node === 'w1')).toEqual([])
  expect(await cluster.history()).toContain('node.empty w1')
})

test('drain is refused with the reasons when the others have no room, and changes nothing', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 3, { max_per_node: 1 })
  const before = cluster.live()
  const refused = await cluster.refusal({ kind: 'drain', node: 'w1' })
  expect(refused.code).toBe('conflict')
  expect(refused.message).toContain('w2, w3: has 1 already (max_per_node 1)')
  expect(refused.problems).toMatchObject([{ where: 'api' }])
  expect(cluster.node('w1')).toMatchObject({ drained: false, drain: null })
  await cluster.pass(30_000)
  expect(cluster.live()).toEqual(before)
})

test('drain by force: what fits nowhere runs on until the deadline and is stopped then', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 3, { max_per_node: 1 })
  await cluster.submit({ kind: 'drain', node: 'w1', force: true, deadlineMs: 60_000 })
  await cluster.pass(59_000)
  expect(cluster.routed('api')).toEqual(['w1', 'w2', 'w3'])
  await cluster.until(() => cluster.node('w1').drain?.emptyAt !== undefined)
  expect(cluster.routed('api')).toEqual(['w2', 'w3'])
  expect(cluster.snapshot().pending).toMatchObject([{ service: 'api', count: 1 }])
  expect(cluster.subjects()).toEqual([])
  await cluster.submit({ kind: 'undrain', node: 'w1' })
  await cluster.until(() => cluster.isWhole('api'))
})

test('drain: what is sticky stays and is told of at the deadline; by force it goes', async () => {
  const cluster = await startCluster()
  await cluster.run('db', 1, { sticky: true })
  await cluster.run('api', 2)
  const home = cluster.live('db')[0]?.node ?? ''
  await cluster.submit({ kind: 'drain', node: home, deadlineMs: 60_000 })
  await cluster.until(() => cluster.live('api').every(({ node }) => node !== home))
  await cluster.pass(30_000)
  const holds = await cluster.settled(cluster.ctld().holdUps(home))
  expect(holds).toMatchObject([{ service: 'db', isStuck: true }])
  expect(holds[0]?.why).toContain('sticky')
  await cluster.pass(45_000)
  expect(cluster.node(home).drain?.isLate).toBe(true)
  expect(cluster.routed('db')).toEqual([home])
  expect(await cluster.history()).toContain(`node.drain_late ${home}`)
  expect(cluster.subjects()).toEqual([`[tucano] node ${home} is not empty yet`])

  await cluster.submit({ kind: 'drain', node: home, force: true })
  const { fewest } = await without(
    cluster,
    'db',
    () => cluster.node(home).drain?.emptyAt !== undefined,
  )
  expect(fewest).toBe(1)
  await cluster.pass(15_000)
  expect(cluster.subjects()[1]).toContain('recovered')
})

test('rebalance: shows its plan, moves one at a time, start first, and ends', async () => {
  const cluster = await startCluster()
  await cluster.submit({ kind: 'cordon', node: 'w3' })
  await cluster.run('api', 6)
  await cluster.submit({ kind: 'uncordon', node: 'w3' })
  const plan = await cluster.settled(cluster.ctld().rebalancePlan())
  expect(plan.moves.map(({ from, to }) => `${from} ${to}`)).toEqual(['w1 w3', 'w2 w3'])
  await cluster.submit({
    kind: 'rebalance',
    instances: plan.moves.map(({ instance }) => instance),
  })
  let most = 0
  const isDone = () => {
    const moving = cluster.live('api').filter(({ leaving }) => leaving !== undefined)
    most = Math.max(most, moving.length)
    return cluster.snapshot().rebalance?.state !== 'running'
  }
  const { fewest } = await without(cluster, 'api', isDone)
  expect({ fewest, most }).toEqual({ fewest: 6, most: 1 })
  expect(cluster.snapshot().rebalance).toMatchObject({ state: 'done', done: 2 })
  expect(cluster.routed('api')).toEqual(['w1', 'w1', 'w2', 'w2', 'w3', 'w3'])
  expect((await cluster.settled(cluster.ctld().rebalancePlan())).moves).toEqual([])
})

/** Six instances on two of three workers: two of them would better run on the third. */
async function lopsided(behave?: (start: Start) => Behaviour): Promise<VirtualCluster> {
  const cluster = await startCluster(behave === undefined ? {} : { behave })
  await cluster.submit({ kind: 'cordon', node: 'w3' })
  await cluster.run('api', 6, { update: { min_healthy: '5s' } })
  await cluster.submit({ kind: 'uncordon', node: 'w3' })
  return cluster
}

const rebalanceOf = (cluster: VirtualCluster) => cluster.snapshot().rebalance
const hasEnded = (cluster: VirtualCluster) => () => rebalanceOf(cluster)?.state !== 'running'

test('rebalance: a new one that fails ends it, and what was to leave goes on serving', async () => {
  let isBroken = false
  const cluster = await lopsided(() => (isBroken ? { endsAfterMs: 100, code: 1 } : {}))
  const before = cluster.live('api').map(({ id }) => id)
  isBroken = true
  await cluster.submit({ kind: 'rebalance' })
  const { fewest } = await without(cluster, 'api', hasEnded(cluster))
  expect(fewest).toBe(6)
  expect(rebalanceOf(cluster)).toMatchObject({ state: 'failed', done: 0 })
  expect(rebalanceOf(cluster)?.why).toContain('api: the new instance on w3 failed')
  await cluster.until(() => cluster.isWhole('api'))
  expect(cluster.live('api').map(({ id }) => id)).toEqual(before)
  expect(cluster.live('api').every(({ leaving }) => leaving === undefined)).toBe(true)
  expect(await cluster.history()).toContain('rebalance.failed')
})

test('rebalance: a worker that dies, and a deploy, end it', async () => {
  const slow = () => ({ healthyAfterMs: 20_000 })
  const cluster = await startCluster({ workers: 4, behave: slow })
  await cluster.submit({ kind: 'cordon', node: 'w3' })
  await cluster.deploy('api', 6)
  await cluster.until(() => cluster.isWhole('api'), 300_000)
  await cluster.submit({ kind: 'uncordon', node: 'w3' })
  await cluster.submit({ kind: 'rebalance' })
  cluster.powerOff('w4')
  await cluster.until(hasEnded(cluster))
  expect(rebalanceOf(cluster)).toMatchObject({ state: 'failed', why: 'api: w4 died' })
  await cluster.until(() => cluster.isWhole('api'), 300_000)
  cluster.startAgent('w4')
  await cluster.until(() => cluster.isAlive('w4'))

  await cluster.submit({ kind: 'rebalance' })
  await cluster.submit({ kind: 'scale', service: 'api', concurrency: 5 })
  await cluster.until(hasEnded(cluster))
  expect(rebalanceOf(cluster)?.why).toContain('changed meanwhile')
  await cluster.until(() => cluster.isWhole('api'), 300_000)
})

test('rebalance: stopped by the user, the exchange that has begun is undone', async () => {
  let isSlow = false
  const cluster = await lopsided(() => (isSlow ? { healthyAfterMs: 30_000 } : {}))
  const before = cluster.live('api').map(({ id }) => id)
  isSlow = true
  await cluster.submit({ kind: 'rebalance' })
  await cluster.pass(5_000)
  expect(cluster.live('api')).toHaveLength(7)
  const again = await cluster.refusal({ kind: 'rebalance' })
  expect(again.message).toContain('a rebalance is under way: 1 of 2: api from')
  await cluster.submit({ kind: 'stop_rebalance' })
  expect(rebalanceOf(cluster)).toMatchObject({ state: 'stopped', why: 'stopped after 0 of 2' })
  await cluster.until(() => cluster.isWhole('api'))
  expect(cluster.live('api').map(({ id }) => id)).toEqual(before)
  expect((await cluster.refusal({ kind: 'stop_rebalance' })).code).toBe('conflict')
})

test('rebalance: goes on after a restart of the controller, and a stale plan is refused', async () => {
  let isSlow = false
  const cluster = await lopsided(() => (isSlow ? { healthyAfterMs: 10_000 } : {}))
  isSlow = true
  const stale = await cluster.refusal({ kind: 'rebalance', instances: ['another'] })
  expect(stale.message).toContain('the plan is another one by now')
  await cluster.submit({ kind: 'rebalance' })
  for (let count = 0; count < 3; count += 1) {
    await cluster.pass(4_000)
    await cluster.restartController()
  }
  const { fewest } = await without(cluster, 'api', hasEnded(cluster))
  expect(fewest).toBe(6)
  expect(rebalanceOf(cluster)).toMatchObject({ state: 'done', done: 2, why: '2 of 2 moved' })
  expect(cluster.routed('api')).toEqual(['w1', 'w1', 'w2', 'w2', 'w3', 'w3'])
})

test('rebalance: nothing to do is done at once, and while nodes vanished it is refused', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 3)
  await cluster.submit({ kind: 'rebalance' })
  expect(rebalanceOf(cluster)).toMatchObject({ state: 'done', moves: [] })
  cluster.cutOff('w1', 'w2')
  await cluster.until(() => cluster.snapshot().frozen !== null)
  expect((await cluster.refusal({ kind: 'rebalance' })).message).toContain('vanished')
})

test('F18: a drain and a rebalance that could not be kept leave no trace', async () => {
  const cluster = await lopsided()
  const before = cluster.live()
  cluster.world.controller.storage.setFull(true)
  for (const command of [{ kind: 'drain', node: 'w1' }, { kind: 'rebalance' }] as const) {
    expect((await cluster.refusal(command)).code).toBe('store_failed')
  }
  expect(cluster.node('w1').drained).toBe(false)
  expect(rebalanceOf(cluster)).toBeNull()
  expect(cluster.live()).toEqual(before)
})
