// Checks of their own in a whole cluster: what they gate, what they take out, what they restart.

import { expect, test } from 'vitest'
import { startCluster, type VirtualCluster } from '#test/helpers/virtual-cluster.ts'

const http = (path: string) => ({ http: { path }, interval: '1s' })
const checks = {
  startup: http('/started'),
  readiness: http('/ready'),
  liveness: { command: ['alive'], interval: '1s' },
}

function setHealthy(cluster: VirtualCluster, id: string, isHealthy: boolean, name: string): void {
  for (const { machine } of cluster.world.agents.values()) machine.setHealthy(id, isHealthy, name)
}

const idsOf = (cluster: VirtualCluster) =>
  cluster
    .snapshot()
    .instances.filter(({ state }) => state === 'started')
    .map(({ id }) => id)

test('readiness that fails takes it out of the table, and nothing is started or placed for it', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 3, { checks })
  const [id = ''] = idsOf(cluster)
  setHealthy(cluster, id, false, '/ready')
  await cluster.until(() => cluster.routed('api').length === 2, 10_000)
  await cluster.pass(120_000)
  expect(cluster.routed('api')).toHaveLength(2)
  expect(cluster.startCount()).toBe(3)
  const sick = cluster.snapshot().instances.find((instance) => instance.id === id)
  expect(sick).toMatchObject({ state: 'started', healthy: false, restarts: 0 })
  expect(sick?.why).toBe('readiness check failed: HTTP 503')
  setHealthy(cluster, id, true, '/ready')
  await cluster.until(() => cluster.isWhole('api'), 10_000)
  expect(idsOf(cluster)).toContain(id)
})

test('liveness that fails restarts it in its place', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 3, { checks })
  const [id = ''] = idsOf(cluster)
  setHealthy(cluster, id, false, 'alive')
  await cluster.until(() => cluster.routed('api').length === 2, 10_000)
  setHealthy(cluster, id, true, 'alive')
  await cluster.until(() => cluster.isWhole('api'), 20_000)
  expect(cluster.startCount()).toBe(4)
  expect(cluster.snapshot().instances.find((one) => one.id === id)?.restarts).toBe(1)
})

test('one that has started and is not ready gets no request, and why is there to read', async () => {
  const cluster = await startCluster()
  await cluster.deploy('api', 1, { checks })
  await cluster.until(() => cluster.startCount() === 1)
  const [{ id } = { id: '' }] = cluster.snapshot().instances
  setHealthy(cluster, id, false, '/ready')
  await cluster.pass(30_000)
  const found = cluster.snapshot().instances.find((one) => one.id === id)
  expect(found).toMatchObject({
    state: 'deploying',
    phase: 'unhealthy',
    healthy: false,
    attempt: 1,
  })
  expect(found?.why).toBe('started, but not ready: readiness check failed: HTTP 503')
  expect(cluster.routed('api')).toEqual([])
  setHealthy(cluster, id, true, '/ready')
  await cluster.until(() => cluster.isWhole('api'), 5_000)
  expect(cluster.startCount()).toBe(1)
})

test('a rolling update waits for readiness: the old ones serve until the new one does', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 2, { checks })
  const old = new Set(idsOf(cluster))
  await cluster.deploy('api', 2, { checks, env: { V: '2' } })
  await cluster.until(() => cluster.startCount() === 3)
  const id = [...cluster.world.agents.values()]
    .flatMap(({ machine }) => machine.running())
    .find((program) => !old.has(program.id))?.id
  setHealthy(cluster, id ?? '', false, '/ready')
  await cluster.pass(60_000)
  expect(cluster.routed('api')).toHaveLength(2)
  expect(idsOf(cluster).filter((one) => old.has(one))).toHaveLength(2)
  setHealthy(cluster, id ?? '', true, '/ready')
  await cluster.until(
    () => cluster.isWhole('api') && idsOf(cluster).every((one) => !old.has(one)),
    60_000,
  )
})
