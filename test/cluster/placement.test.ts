// Where instances go and how many there are, seen from outside on a whole cluster.

import { expect, test } from 'vitest'
import { startCluster } from '#test/helpers/virtual-cluster.ts'

test('T03/M12/M19/M29/M30/M31: three workers get one of 3 instances each, and 3/2/2 of 7', async () => {
  const three = await startCluster()
  await three.run('api', 3)
  expect(three.places('api')).toBe('w1,w2,w3')
  expect(three.routed('api')).toEqual(['w1', 'w2', 'w3'])

  const seven = await startCluster()
  await seven.run('api', 7)
  expect(seven.places('api')).toBe('w1,w2,w3,w1,w2,w3,w1')
  expect(['w1', 'w2', 'w3'].map((name) => seven.programs(name).length)).toEqual([3, 2, 2])
})

test('S18: a port is free again when its instance has ended', async () => {
  const cluster = await startCluster({ workers: 1 })
  await cluster.run('a', 2)
  const ports = cluster.live('a').map(({ port }) => port)
  expect(ports).toEqual([20_000, 20_001])
  await cluster.submit({ kind: 'remove', service: 'a' })
  await cluster.until(() => cluster.live().length === 0)
  await cluster.run('b', 2)
  expect(cluster.live('b').map(({ port }) => port)).toEqual(ports)
})

test('T03/S08: two services of concurrency 2 in a row get w1,w2 then w3,w1', async () => {
  const cluster = await startCluster()
  await cluster.run('a', 2)
  await cluster.run('b', 2)
  expect([cluster.places('a'), cluster.places('b')]).toEqual(['w1,w2', 'w3,w1'])
})

test('Q01/S08: the cursor of the ring survives a restart of the controller', async () => {
  const cluster = await startCluster()
  await cluster.run('a', 2)
  await cluster.restartController()
  await cluster.until(() => cluster.snapshot().alive_nodes.length === 3)
  await cluster.run('b', 2)
  expect(cluster.places('b')).toBe('w3,w1')
})

test('Q01: a death does not shift the ring', async () => {
  const cluster = await startCluster({ workers: 4 })
  await cluster.run('a', 2)
  cluster.powerOff('w1')
  await cluster.until(() => cluster.node('w1').state === 'reviving')
  await cluster.until(() => cluster.isWhole('a'))
  expect(cluster.places('a')).toBe('w2,w3')
  await cluster.run('b', 2)
  expect(cluster.places('b')).toBe('w4,w2')
})

test('Q03: an update never routes to more than concurrency, nor leaves fewer', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 3)
  const counts = new Set<number>()
  await cluster.deploy('api', 3, { env: { V: '2' } })
  await cluster.until(() => {
    counts.add(cluster.routed('api').length)
    const isNew = cluster.live('api').every(({ revision }) => revision === 2)
    return isNew && cluster.isWhole('api')
  })
  expect([...counts]).toEqual([3])
  expect(cluster.startCount()).toBe(6)
})

test('Q03: with max_surge 0 the old one stops before the new one starts', async () => {
  const cluster = await startCluster()
  const update = { max_surge: 0 }
  await cluster.run('db', 1, { update })
  await cluster.deploy('db', 1, { update, env: { V: '2' } })
  const isNew = () => cluster.live('db').some(({ revision }) => revision === 2)
  let most = 0
  await cluster.until(() => {
    const running = [...cluster.world.agents.values()].flatMap(({ machine }) => machine.running())
    most = Math.max(most, running.length)
    return isNew() && cluster.isWhole('db')
  })
  expect(most).toBe(1)
})

test('Q17: with update.strategy none a running service is not redeployed', async () => {
  const cluster = await startCluster()
  const update = { strategy: 'none' }
  await cluster.run('api', 2, { update })
  const { config } = cluster.service('api')
  const refused = await cluster.refusal({
    kind: 'deploy',
    config: { ...config, env: { V: '2' } },
  })
  expect(refused.code).toBe('already_running')
  expect(refused.message).toContain('stop it first')
  expect(cluster.service('api').revision).toBe(1)

  await cluster.submit({ kind: 'stop', service: 'api' })
  await cluster.until(() => cluster.live('api').length === 0)
  await cluster.submit({ kind: 'deploy', config: { ...config, env: { V: '2' } } })
  await cluster.until(() => cluster.isWhole('api'))
  expect(cluster.live('api').map(({ revision }) => revision)).toEqual([2, 2])
})

test('Q17: recreate ends all old instances before the first new one starts', async () => {
  const cluster = await startCluster()
  const update = { strategy: 'recreate' }
  await cluster.run('api', 3, { update })
  await cluster.deploy('api', 3, { update, env: { V: '2' } })
  const mixed = () => new Set(cluster.live('api').map(({ revision }) => revision)).size > 1
  let wasMixed = false
  await cluster.until(() => {
    wasMixed ||= mixed()
    return cluster.isWhole('api') && cluster.live('api')[0]?.revision === 2
  })
  expect(wasMixed).toBe(false)
})

test('Q17: a changed concurrency scales in place, the newest on the fullest goes first', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 4)
  expect(cluster.places('api')).toBe('w1,w2,w3,w1')
  const [first, second, third] = cluster.live('api')
  await cluster.submit({ kind: 'scale', service: 'api', concurrency: 3 })
  await cluster.until(() => cluster.isWhole('api'))
  expect(cluster.live('api').map(({ id }) => id)).toEqual([first?.id, second?.id, third?.id])
  await cluster.submit({ kind: 'scale', service: 'api', concurrency: 5 })
  await cluster.until(() => cluster.isWhole('api'))
  expect(cluster.startCount()).toBe(6)
})

test('Q22: an instance is told to stop only when its last request has ended', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 1)
  cluster.world.requestMs = () => 12_000
  await cluster.submit({ kind: 'stop', service: 'api' })
  expect(cluster.routed('api')).toEqual([])
  const ms = await cluster.until(() => cluster.live('api').length === 0)
  expect(ms).toBeGreaterThan(11_900)
  expect(ms).toBeLessThan(13_000)
  expect(cluster.finals('api').map(({ state }) => state)).toEqual(['terminated'])
})

test('Q22: a request that does not end is waited for 30 s and no longer', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 1)
  cluster.world.requestMs = () => Number.POSITIVE_INFINITY
  await cluster.submit({ kind: 'stop', service: 'api' })
  await cluster.pass(29_500)
  expect(cluster.programs('w1').length).toBe(1)
  const ms = await cluster.until(() => cluster.live('api').length === 0)
  expect(ms).toBeLessThan(1_500)
})

test('Q22/S17: a program that ignores SIGTERM is killed after its grace of 20 s', async () => {
  const behave = () => ({ termMs: Number.POSITIVE_INFINITY })
  const cluster = await startCluster({ behave })
  await cluster.run('api', 1)
  await cluster.submit({ kind: 'stop', service: 'api' })
  const ms = await cluster.until(() => cluster.live('api').length === 0)
  expect(ms).toBeGreaterThan(20_000)
  expect(ms).toBeLessThan(22_000)
})
