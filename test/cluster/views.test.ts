// What the controller lets others see (M50–M55), and what the balancer is given.

import { expect, test } from 'vitest'
import { startCluster, type VirtualCluster } from '#test/helpers/virtual-cluster.ts'
import { hostOf } from '#test/sim/agent.ts'
import { AT_REST } from '#test/sim/edges.ts'

test('T07/M52: a stopped service is configured, not active, and has a route without targets', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 2)
  await cluster.submit({ kind: 'stop', service: 'api' })
  await cluster.until(() => cluster.live('api').length === 0)
  const { configured_services, active_services } = cluster.snapshot()
  expect(configured_services.map(({ name }) => name)).toEqual(['api'])
  expect(active_services).toEqual([])
  expect(cluster.route('api')?.targets).toEqual([])

  await cluster.submit({ kind: 'start', service: 'api' })
  await cluster.until(() => cluster.isWhole('api'))
  expect(cluster.snapshot().active_services).toHaveLength(1)
})

test('T08/M55: an active service holds the very record that is configured, always', async () => {
  const cluster = await startCluster()
  await cluster.run('a', 2)
  await cluster.run('b', 1)
  expectSame(cluster)

  await cluster.deploy('a', 3, { env: { V: '2' } })
  expectSame(cluster)

  const { world } = cluster
  const text = `${world.text}\n# read again\n`
  const version = cluster.snapshot().config.version
  await cluster.submit({ kind: 'put_config', version, text, by: 'file' })
  expectSame(cluster)

  await cluster.restartController()
  expectSame(cluster)
  await cluster.until(() => cluster.isWhole('a'))
  expectSame(cluster)
})

function expectSame(cluster: VirtualCluster): void {
  const { configured_services, active_services } = cluster.snapshot()
  expect(active_services.map(({ service }) => service.name)).toEqual(['a', 'b'])
  for (const { service } of active_services) {
    expect(service).toBe(configured_services.find(({ name }) => name === service.name))
  }
}

test('M53: the configuration is there as it was submitted', async () => {
  const cluster = await startCluster()
  const { service } = await cluster.deploy('api', 2, { hosts: ['shop.test'], env: { KEY: 'x' } })
  expect(cluster.service('api').config).toMatchObject({
    name: 'api',
    concurrency: 2,
    hosts: ['shop.test'],
    env: { KEY: 'x' },
    image: { run: ['node', 'server.js'] },
  })
  expect(cluster.service('api')).toBe(service)
})

test('M54: active services are those with instances that are not final', async () => {
  const cluster = await startCluster()
  await cluster.deploy('api', 2)
  await cluster.deploy('idle', 0)
  await cluster.until(() => cluster.isWhole('api'))
  const { active_services } = cluster.snapshot()
  expect(active_services.map(({ service, instances }) => [service.name, instances.length])).toEqual(
    [['api', 2]],
  )
})

test('M13/M25/M32: every 2 s a report brings metrics and status together', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 3)
  const reports: { at: number; keys: string[] }[] = []
  const { agentd } = hostOf(cluster.world, 'w1')
  const before = agentd?.status().sequence ?? 0
  await cluster.until(() => {
    const { sequence, metrics, instances } = agentd!.status()
    if (sequence > before + reports.length) {
      const keys = [`cpu ${metrics?.cpu}`, ...instances.map(({ phase }) => phase)]
      reports.push({ at: cluster.clock.now(), keys })
    }
    return reports.length === 6
  })
  for (const { keys } of reports) expect(keys).toEqual(['cpu 0.2', 'started'])
  const gaps = reports.slice(1).map(({ at }, index) => at - (reports[index]?.at ?? 0))
  for (const gap of gaps) {
    expect(gap).toBeGreaterThanOrEqual(1_795)
    expect(gap).toBeLessThan(2_210)
  }
})

test('M33: alive_nodes holds the most recent metrics of each node', async () => {
  const cluster = await startCluster()
  hostOf(cluster.world, 'w2').metrics = { ...AT_REST, cpu: 0.75, memory_used: 4e9 }
  await cluster.pass(2_300)
  const cpu = cluster.snapshot().alive_nodes.map(({ name, metrics }) => [name, metrics?.cpu])
  expect(cpu).toEqual([
    ['w1', 0.2],
    ['w2', 0.75],
    ['w3', 0.2],
  ])
  expect(cluster.node('w2').metrics?.memory_used).toBe(4e9)
  expect(cluster.node('w2').silentMs).toBeLessThan(2_300)
})

test('M34/M24: the weight of a target follows what its node reports', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 3)
  const weights = () => cluster.route('api')?.targets.map(({ node, weight }) => `${node} ${weight}`)
  await cluster.pass(2_300)
  expect(weights()).toEqual(['w1 8', 'w2 8', 'w3 8'])
  hostOf(cluster.world, 'w1').metrics = { ...AT_REST, cpu: 0.95 }
  hostOf(cluster.world, 'w3').metrics = { ...AT_REST, memory_used: 4e9 }
  await cluster.pass(2_300)
  expect(weights()).toEqual(['w1 1', 'w2 8', 'w3 5'])
})

test('M50/S13: a machine that is not listed is never alive, and its report is refused', async () => {
  const cluster = await startCluster({ workers: 2, unlisted: 1 })
  await cluster.pass(20_000)
  const { nodes, alive_nodes } = cluster.snapshot()
  expect(nodes.map(({ name }) => name)).toEqual(['w1', 'w2'])
  expect(alive_nodes.map(({ name }) => name)).toEqual(['w1', 'w2'])
  const stranger = hostOf(cluster.world, 'w3').agentd!
  const refused = await cluster
    .settled(cluster.ctld().report(stranger.status()))
    .catch((error: unknown) => error)
  expect(refused).toMatchObject({ code: 'forbidden', message: 'w3 is not in the topology' })
  await cluster.run('api', 3)
  expect(cluster.places('api')).toBe('w1,w2,w1')
  expect(stranger.health().reporting).toBe(false)
})

test('F38: when all instances are down the route is there at once, without targets', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 2)
  for (const { id, node } of cluster.live('api')) hostOf(cluster.world, node).machine.kill(id)
  const ms = await cluster.until(() => cluster.routed('api').length === 0)
  expect(ms).toBeLessThan(200)
  expect(cluster.route('api')?.targets).toEqual([])
  // They are started again where they were, after a back-off of about 1 s.
  const backMs = await cluster.until(() => cluster.isWhole('api'))
  expect(backMs).toBeLessThan(2_000)
})

test('S25/S23: what ended stays visible with its reason', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 1)
  await cluster.deploy('api', 1, { env: { V: '2' } })
  await cluster.until(() => cluster.finals('api').length === 1)
  expect(cluster.finals('api')[0]).toMatchObject({
    state: 'terminated',
    revision: 1,
    why: 'no request in flight',
  })
})
