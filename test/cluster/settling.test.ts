// A deployment always comes to an end: what is given up stays given up, what was replaced counts.

import { expect, test } from 'vitest'
import { startCluster, type VirtualCluster } from '#test/helpers/virtual-cluster.ts'

const failing = () => ({ endsAfterMs: 20, code: 1 })
const last = (cluster: VirtualCluster) => cluster.snapshot().deployments.at(-1)

test('S20/S26: more failed instances than are kept for reading are given up all the same', async () => {
  const cluster = await startCluster({ behave: failing })
  await cluster.deploy('bad', 30)
  await cluster.until(() => last(cluster)?.finishedAt !== undefined, 120_000)
  expect(last(cluster)).toMatchObject({
    state: 'incomplete_running',
    why: '0 of 30 running, 30 failed to start',
  })
  await cluster.pass(120_000)
  expect(cluster.startCount()).toBe(30 * 6)
})

test.each([{ max_per_node: 1 }, { host_port: 'static' }])(
  'S21: tries 4 to 6 stay on the only worker, which the instance itself does not fill: %o',
  async (extra) => {
    const cluster = await startCluster({ workers: 1, behave: failing })
    await cluster.deploy('bad', 1, extra)
    await cluster.until(() => last(cluster)?.state === 'incomplete_running', 60_000)
    expect(cluster.finals('bad')).toMatchObject([{ state: 'failed_to_start', attempt: 6 }])
    expect(cluster.startCount()).toBe(6)
  },
)

test('S26: a stopped service that is scaled runs all that it shall, which is nothing', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 1)
  await cluster.submit({ kind: 'stop', service: 'api' })
  await cluster.until(() => cluster.isWhole('api'))
  await cluster.submit({ kind: 'scale', service: 'api', concurrency: 3 })
  expect(last(cluster)).toMatchObject({ state: 'complete_running', why: '0 of 0 running' })
  expect(cluster.live('api')).toEqual([])
})

test('S26: it is complete when what a reboot ended under it has been replaced', async () => {
  const cluster = await startCluster()
  const ids = new Set<string>()
  cluster.world.behave = ({ id }) => {
    ids.add(id)
    return ids.size === 3 ? { healthyAfterMs: 30_000 } : {}
  }
  await cluster.deploy('api', 3)
  await cluster.until(() => cluster.routed('api').length === 2)
  const [rebooted = ''] = cluster.routed('api')
  cluster.powerOff(rebooted)
  cluster.startAgent(rebooted)
  await cluster.until(() => last(cluster)?.finishedAt !== undefined)
  expect(cluster.finals('api').map(({ state }) => state)).toEqual(['unexpected_crashed'])
  expect(last(cluster)).toMatchObject({ state: 'complete_running', why: '3 of 3 running' })
  expect(cluster.subjects()).toEqual([])
})
