// Cordon, drain, rebalance and the return of a node, on a whole cluster.

import { expect, test } from 'vitest'
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
