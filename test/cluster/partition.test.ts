// The network is cut, daemons stand still, messages come twice and late, clocks jump.

import { expect, test } from 'vitest'
import { DETECTED_MS, startCluster, type VirtualCluster } from '#test/helpers/virtual-cluster.ts'
import { hostOf } from '#test/sim/agent.ts'
import { CONTROLLER } from '#test/sim/edges.ts'

const HOUR_MS = 3_600_000

test('F07: an agent that stands still for 5 s moves nothing', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 3)
  const { life } = hostOf(cluster.world, 'w1')
  life?.pause()
  await cluster.pass(5_000)
  life?.resume()
  await cluster.pass(20_000)
  await expectUntouched(cluster)
})

test('F07/F11: after 60 s it is dead at R; when it goes on it obeys what is wanted now', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 3)
  const { life } = hostOf(cluster.world, 'w1')
  life?.pause()
  const ms = await cluster.until(() => cluster.node('w1').state === 'reviving')
  expect(ms).toBeLessThanOrEqual(DETECTED_MS)
  await cluster.pass(60_000 - ms)
  expect(cluster.isWhole('api')).toBe(true)
  expect(runningCount(cluster)).toBe(4)
  life?.resume()
  const goneMs = await cluster.until(() => runningCount(cluster) === 3)
  expect(goneMs).toBeLessThanOrEqual(4_000)
  await cluster.until(() => cluster.isWhole('api') && cluster.isAlive('w1'))
})

test('F08: a controller that stands still for 60 s declares nobody dead and mails nothing', async () => {
  const cluster = await startCluster({ workers: 5 })
  await cluster.run('api', 5)
  const { life } = cluster.world.controller
  life?.pause()
  await cluster.pass(60_000)
  life?.resume()
  await cluster.pass(60_000)
  await expectUntouched(cluster)
  expect(await cluster.history()).toContain('controller.paused')
})

test('F10: a cut that is shorter than the patience moves nothing', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 3)
  cluster.cutOff('w2')
  await cluster.pass(5_500)
  cluster.world.network.heal()
  await cluster.pass(20_000)
  await expectUntouched(cluster)
})

test('F11/Q07: a longer one moves the instance; healed, the double is gone within 4 s', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 3)
  cluster.cutOff('w2')
  await cluster.until(() => cluster.node('w2').state === 'reviving', DETECTED_MS)
  await cluster.until(() => cluster.isWhole('api'), 3_000)
  expect(runningCount(cluster)).toBe(4)
  cluster.world.network.heal()
  const ms = await cluster.until(() => runningCount(cluster) === 3)
  expect(ms).toBeLessThanOrEqual(4_000)
  await cluster.until(() => cluster.isWhole('api') && cluster.isAlive('w2'))
  expect(cluster.routed('api')).toEqual(['w1', 'w2', 'w3'])
})

test.each([
  ['is not heard', 'w2', CONTROLLER],
  ['hears nothing', CONTROLLER, 'w2'],
])('F12: an agent that %s calls at most once a second', async (_, from, to) => {
  const cluster = await startCluster()
  await cluster.run('api', 3)
  const calls = countCalls(cluster, 'w2')
  cluster.world.network.cut(from, to)
  await cluster.pass(120_000)
  expect(calls()).toBeGreaterThan(5)
  expect(calls()).toBeLessThanOrEqual(120)
  cluster.world.network.heal()
  await cluster.until(() => cluster.isAlive('w2') && cluster.isWhole('api'), 10_000)
  expect(runningCount(cluster)).toBe(3)
})

test('F12/S15: agents of a controller that is gone call at most once a second each', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 3)
  const calls = countCalls(cluster, 'w1')
  cluster.world.killController('kill')
  await cluster.pass(120_000)
  expect(calls()).toBeLessThanOrEqual(120)
})

test('F13: when 2 of 3 vanish nothing is moved, and one mail says so', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 3)
  cluster.cutOff('w1', 'w2')
  await cluster.pass(60_000)
  expect(cluster.snapshot().frozen?.nodes.toSorted()).toEqual(['w1', 'w2'])
  expect(cluster.places('api')).toBe('w3')
  expect(cluster.programs('w3')).toHaveLength(1)
  expect(cluster.snapshot().pending.map(({ why }) => why)).toEqual([
    'frozen: more than half of the nodes vanished at once',
  ])
  expect(cluster.subjects()).toHaveLength(1)
  expect(cluster.subjects()[0]).toMatch(/2 nodes vanished at once: (w1, w2|w2, w1)$/)
  expect(cluster.world.mails[0]?.text).toContain('Nothing is moved until nodes are seen again')

  cluster.world.network.heal()
  await cluster.until(() => cluster.snapshot().frozen === null && cluster.isWhole('api'), 10_000)
  // With the first one that is back it is no mass failure any more: the other's may be moved.
  expect(cluster.startCount()).toBeLessThanOrEqual(4)
  await cluster.pass(30_000)
  expect(cluster.subjects()).toHaveLength(2)
})

test.each([[12_000], [60_000]])(
  'F13: after %i ms the sysadmin says that they are gone: it is placed',
  async (ms) => {
    const cluster = await startCluster()
    await cluster.run('api', 3)
    cluster.cutOff('w1', 'w2')
    await cluster.pass(ms)
    expect(cluster.places('api')).toBe('w3')
    await cluster.submit({ kind: 'unfreeze' })
    await cluster.until(() => cluster.isWhole('api'), 3_000)
    expect(cluster.places('api')).toBe('w3,w3,w3')
    await cluster.pass(60_000)
    expect(cluster.snapshot().frozen).toBe(null)
  },
)

test('F14: a link that flaps each second for a minute moves nothing', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 3)
  for (let second = 0; second < 30; second += 1) {
    cluster.cutOff('w2')
    await cluster.pass(1_000)
    cluster.world.network.heal()
    await cluster.pass(1_000)
  }
  await cluster.pass(10_000)
  await expectUntouched(cluster)
})

test('F15/Q04: of 10 % lost messages, then of 400 ms of delay, nobody dies in 10 minutes', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 3)
  cluster.world.network.weather = { lossShare: 0.1, doubleShare: 0, delayMsMax: 20 }
  await cluster.pass(600_000)
  cluster.world.network.weather = { lossShare: 0, doubleShare: 0, delayMsMax: 400 }
  await cluster.pass(600_000)
  await expectUntouched(cluster)
})

test('Q04: one report that is lost makes nobody suspect, nor do two', async () => {
  const cluster = await startCluster()
  await cluster.pass(5_000)
  for (const lostCount of [1, 2]) {
    const { sequence = 0 } = hostOf(cluster.world, 'w2').agentd?.status() ?? {}
    cluster.world.network.cut('w2', CONTROLLER)
    await cluster.until(
      () => (hostOf(cluster.world, 'w2').agentd?.status().sequence ?? 0) === sequence + lostCount,
    )
    await cluster.pass(100)
    cluster.world.network.heal()
    await cluster.pass(10_000)
  }
  expect(await cluster.history()).not.toContain('node.suspect w2')
})

test('F16/S05: doubled, late and reordered messages change nothing', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 3)
  cluster.world.network.weather = { lossShare: 0, doubleShare: 0.5, delayMsMax: 1_500 }
  for (let step = 1; step <= 10; step += 1) {
    const scale = { kind: 'scale', service: 'api', concurrency: (step % 5) + 1 } as const
    await cluster.submit(scale)
    await cluster.pass(15_000)
    expect(cluster.isWhole('api')).toBe(true)
  }
  expect(cluster.world.violations).toEqual([])
  expect(runningCount(cluster)).toBe(1)
})

test('F17: the wall clock jumps by an hour and by ten years: 0 deaths, 0 moves', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 3)
  for (const jump of [HOUR_MS, -HOUR_MS, -HOUR_MS, 10 * 365 * 24 * HOUR_MS]) {
    cluster.clock.jumpWall(jump)
    await cluster.pass(30_000)
  }
  await expectUntouched(cluster)
})

test('F17: nor when the controller starts again in another year', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 3)
  const years = 10 * 365 * 24 * HOUR_MS
  for (const jump of [years, -years, -HOUR_MS]) {
    cluster.clock.jumpWall(jump)
    await cluster.restartController()
    await cluster.pass(30_000)
    expect(cluster.isWhole('api')).toBe(true)
  }
  await expectUntouched(cluster)
})

async function expectUntouched(cluster: VirtualCluster): Promise<void> {
  expect(cluster.isWhole('api')).toBe(true)
  expect(cluster.startCount()).toBe(cluster.service('api').config.concurrency)
  expect(cluster.subjects()).toEqual([])
  const history = await cluster.history()
  expect(history.filter((line) => /^node\.(reviving|dead)/.test(line))).toEqual([])
}

function runningCount(cluster: VirtualCluster): number {
  return [...cluster.world.agents.keys()].flatMap((name) => cluster.programs(name)).length
}

function countCalls(cluster: VirtualCluster, from: string): () => number {
  const { network } = cluster.world
  const { call } = network
  let count = 0
  network.call = (one) => {
    if (one.from === from) count += 1
    return call(one)
  }
  return () => count
}
