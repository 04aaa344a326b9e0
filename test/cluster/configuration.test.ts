// The controller's configuration changes while the cluster runs (Q13, S30).

import { expect, test } from 'vitest'
import {
  namesOf,
  startCluster,
  topologyOf,
  type VirtualCluster,
} from '#test/helpers/virtual-cluster.ts'

function put(text: string, version: number) {
  return { kind: 'put_config', version, text, by: 'api' } as const
}

const versionOf = (cluster: VirtualCluster) => cluster.snapshot().config.version

test('Q13/S30: a change that is based on an old version is refused, the state unchanged', async () => {
  const cluster = await startCluster({ workers: 2 })
  const version = versionOf(cluster)
  const { config } = await cluster.submit(put(topologyOf(namesOf(3)), version))
  expect(config).toEqual({ version: version + 1, restart_required: [] })
  const refused = await cluster.refusal(put(topologyOf(['w1']), version))
  expect(refused.code).toBe('stale_version')
  expect(refused.message).toContain(`is at version ${version + 1}`)
  expect(cluster.snapshot().nodes.map(({ name }) => name)).toEqual(['w1', 'w2', 'w3'])
  expect(cluster.world.text).toBe(topologyOf(namesOf(3)))
})

test('Q13: a worker that is added while the cluster runs gets work', async () => {
  const cluster = await startCluster({ workers: 2, unlisted: 1 })
  await cluster.run('a', 2)
  await cluster.submit(put(topologyOf(namesOf(3)), versionOf(cluster)))
  await cluster.until(() => cluster.isAlive('w3'), 4_000)
  await cluster.run('b', 1)
  expect(cluster.places('b')).toBe('w3')
  expect(cluster.startCount()).toBe(3)
})

test('Q13: a worker that is taken out is drained, then forgotten; its traffic is not lost', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 3)
  let least = 3
  await cluster.submit(put(topologyOf(['w1', 'w3']), versionOf(cluster)))
  expect(cluster.snapshot().alive_nodes.map(({ name }) => name)).toEqual(['w1', 'w3'])
  expect(cluster.node('w2').drained).toBe(true)
  await cluster.until(() => {
    least = Math.min(least, cluster.routed('api').length)
    return cluster.snapshot().nodes.length === 2
  })
  expect(least).toBe(3)
  expect(cluster.programs('w2')).toEqual([])
  expect(cluster.routed('api').every((name) => name !== 'w2')).toBe(true)
  expect(cluster.isWhole('api')).toBe(true)
  await cluster.pass(60_000)
  expect(cluster.subjects()).toEqual([])
})

test('Q13: a dead worker that is taken out is forgotten at once, and its alert is over', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 3)
  cluster.powerOff('w2')
  await cluster.until(() => cluster.snapshot().dead_nodes.length === 1)
  await cluster.pass(15_000)
  await cluster.submit(put(topologyOf(['w1', 'w3']), versionOf(cluster)))
  expect(cluster.snapshot().nodes.map(({ name }) => name)).toEqual(['w1', 'w3'])
  await cluster.pass(15_000)
  expect(cluster.subjects()).toHaveLength(2)
  expect(cluster.subjects()[1]).toMatch(/recovered/)
  expect(cluster.isWhole('api')).toBe(true)
})

test('Q13/M44: a second controller, or none, is refused with the state unchanged', async () => {
  const cluster = await startCluster()
  const version = versionOf(cluster)
  const two = topologyOf(namesOf(3)).replace('kind: worker', 'kind: ctl')
  const refused = await cluster.refusal(put(two, version))
  expect(refused.code).toBe('invalid_config')
  expect(refused.problems[0]?.what).toMatch(/10\.0\.0\.1.*10\.0\.1\.11/)
  const none = topologyOf(namesOf(3)).replace('kind: ctl', 'kind: worker')
  expect((await cluster.refusal(put(none, version))).code).toBe('invalid_config')
  expect(versionOf(cluster)).toBe(version)
  expect(cluster.snapshot().nodes).toHaveLength(3)
})

test('Q13: each version stays in the history, also over a restart of the controller', async () => {
  const cluster = await startCluster({ workers: 2, absent: [] })
  await cluster.submit(put(topologyOf(['w1']), versionOf(cluster)))
  await cluster.submit(put(topologyOf(['w1', 'w2']), versionOf(cluster)))
  await cluster.restartController()
  const { configHistory } = cluster.snapshot()
  expect(configHistory.map(({ version, by }) => [version, by])).toEqual([
    [1, 'start'],
    [2, 'api'],
    [3, 'api'],
  ])
  expect(configHistory[1]?.text).toBe(topologyOf(['w1']))
})

test("Q13: what concerns the controller's own entry waits for its restart, and says so", async () => {
  const cluster = await startCluster()
  const text = `${topologyOf(namesOf(3))}api: { port: 7999 }\n`
  const { config } = await cluster.submit(put(text, versionOf(cluster)))
  expect(config?.restart_required).toEqual(['api.port'])
})

test('Q13: a drain that the topology asks for moves everything away, undone it gets work', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 3)
  const drained = topologyOf(namesOf(3)).replace('10.0.1.11 }', '10.0.1.11, drain: true }')
  await cluster.submit(put(drained, versionOf(cluster)))
  await cluster.until(() => cluster.programs('w1').length === 0 && cluster.isWhole('api'))
  const refused = await cluster.refusal({ kind: 'undrain', node: 'w1' })
  expect(refused.code).toBe('conflict')
  await cluster.submit(put(topologyOf(namesOf(3)), versionOf(cluster)))
  await cluster.run('b', 3)
  expect(cluster.places('b')).toContain('w1')
})
