// Services that must not run on when their agent hears nothing (`on_partition`), in a cluster.

import { expect, test } from 'vitest'
import { randomOf } from '#test/helpers/seeds.ts'
import { startCluster, type VirtualCluster } from '#test/helpers/virtual-cluster.ts'

const STOP_MS = 30_000
const keys = { on_partition: { stop_after: '30s' } }
/** Its report, the signal and the end of its program. */
const MARGIN_MS = 3_000

function runningCount(cluster: VirtualCluster): number {
  return [...cluster.world.agents.keys()].flatMap((name) => cluster.programs(name)).length
}

test('a worker that is cut off stops it, so that in the end only the new one runs', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 3, keys)
  await cluster.run('db', 3)
  cluster.cutOff('w2')
  await cluster.until(() => cluster.node('w2').state === 'reviving')
  await cluster.until(() => cluster.isWhole('api') && cluster.isWhole('db'))
  expect(cluster.programs('w2')).toHaveLength(2)
  await cluster.pass(STOP_MS)
  // The other service's program runs on: nobody said that it must not.
  expect(cluster.programs('w2').map(({ id }) => serviceOf(cluster, id))).toEqual(['db'])
  cluster.world.network.heal()
  await cluster.until(() => cluster.isAlive('w2') && runningCount(cluster) === 6, 60_000)
  await cluster.until(() => cluster.isWhole('api') && cluster.isWhole('db'))
  const ended = cluster.snapshot().instances.filter(({ service }) => service === 'api')
  const cutOff = ended.find(({ state }) => state === 'terminated')
  expect(cutOff?.why).toContain('the controller was silent for more than 30 s')
  expect(cluster.world.bugs).toEqual([])
})

test('a controller that is away for less than that harms nothing', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 3, keys)
  for (const awayMs of [1_000, 10_000, STOP_MS - MARGIN_MS - 2_000]) {
    await cluster.restartController(awayMs)
    await cluster.pass(20_000)
    expect(cluster.isWhole('api')).toBe(true)
  }
  expect(cluster.startCount()).toBe(3)
  expect(cluster.subjects()).toEqual([])
})

test('a controller that was away for longer starts all of it again, once each', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 3, keys)
  cluster.world.killController('kill')
  await cluster.pass(STOP_MS + 5_000)
  expect(runningCount(cluster)).toBe(0)
  cluster.world.startController()
  await cluster.until(() => cluster.world.controller.ctld !== undefined)
  await cluster.until(() => cluster.isWhole('api'), 30_000)
  await cluster.pass(60_000)
  expect(runningCount(cluster)).toBe(3)
  expect(cluster.startCount()).toBe(6)
  // It was asked for: nobody has to be woken for it.
  expect(cluster.subjects()).toEqual([])
})

test('one that only hears nothing stops too, and its place is filled elsewhere or again', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 2, keys)
  cluster.world.network.cut('c1', 'w1')
  await cluster.pass(STOP_MS + 20_000)
  expect(cluster.routed('api')).not.toContain('w1')
  cluster.world.network.heal()
  await cluster.until(() => cluster.isWhole('api') && runningCount(cluster) === 2, 60_000)
})

test('a revision whose instances were cut off is not blamed for it', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 3, keys)
  await cluster.deploy('api', 3, { ...keys, env: { V: '2' } })
  await cluster.until(() => cluster.isWhole('api'))
  cluster.world.killController('kill')
  await cluster.pass(STOP_MS + 5_000)
  cluster.world.startController()
  await cluster.until(() => cluster.world.controller.ctld !== undefined)
  await cluster.until(() => cluster.isWhole('api'), 30_000)
  await cluster.pass(60_000)
  expect(cluster.service('api').config.env.V).toBe('2')
  const states = cluster.snapshot().instances.map(({ state }) => state)
  expect(states).not.toContain('unexpected_crashed')
  expect(states).not.toContain('unexpected_terminated')
})

test('with reschedule_after beyond that time, two copies never run at the same time', async () => {
  const cluster = await startCluster({ keys: 'health: { reschedule_after: 35s }' })
  await cluster.run('db', 1, { ...keys, stop: { grace: '2s' } })
  const [node = ''] = cluster.routed('db')
  cluster.cutOff(node)
  let most = 0
  await cluster.until(() => {
    most = Math.max(most, runningCount(cluster))
    return cluster.isWhole('db') && cluster.routed('db')[0] !== node
  }, 120_000)
  expect(most).toBe(1)
  cluster.world.network.heal()
  await cluster.pass(20_000)
  expect(runningCount(cluster)).toBe(1)
})

test('it can be said of a running service, and nothing is restarted for it', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 2)
  await cluster.deploy('api', 2, keys)
  await cluster.pass(10_000)
  expect(cluster.startCount()).toBe(2)
  cluster.world.killController('kill')
  await cluster.pass(STOP_MS + 5_000)
  expect(runningCount(cluster)).toBe(0)
})

test('by seed: no program outlives the silence that it was given, whatever is cut', async () => {
  for (let seed = 0; seed < 5; seed += 1) await playSeed(seed)
})

async function playSeed(seed: number): Promise<void> {
  const random = randomOf(seed)
  const cluster = await startCluster({ workers: 3, seed })
  await cluster.run('api', 3, { ...keys, stop: { grace: '1s' } })
  for (let step = 0; step < 6; step += 1) {
    const names = ['w1', 'w2', 'w3'].filter(() => random.chance(0.4))
    cluster.cutOff(...names)
    const silentMs = random.int(5_000, 90_000)
    await cluster.pass(silentMs)
    if (silentMs >= STOP_MS + MARGIN_MS) {
      const left = names.flatMap((name) => cluster.programs(name).map(({ id }) => `${name} ${id}`))
      expect(left, `seed ${seed}, step ${step}`).toEqual([])
    }
    cluster.world.network.heal()
    await cluster.until(() => cluster.isWhole('api') && runningCount(cluster) === 3, 120_000)
  }
  expect(cluster.world.bugs).toEqual([])
}

function serviceOf(cluster: VirtualCluster, id: string): string | undefined {
  return cluster.snapshot().instances.find((instance) => instance.id === id)?.service
}
