// How far a deployment has come (S26), through the lives of its instances (S20–S25).

import { expect, test } from 'vitest'
import { startCluster, type VirtualCluster } from '#test/helpers/virtual-cluster.ts'

/** The states that the newest deployment goes through until `isDone`. */
async function statesUntil(cluster: VirtualCluster, isDone: () => boolean): Promise<string[]> {
  const states: string[] = []
  await cluster.until(() => {
    const state = cluster.snapshot().deployments.at(-1)?.state ?? 'none'
    if (states.at(-1) !== state) states.push(state)
    return isDone()
  }, 300_000)
  return states
}

const isFinished = (cluster: VirtualCluster) => () =>
  cluster.snapshot().deployments.at(-1)?.finishedAt !== undefined

test('S26/S20: a deployment goes from deploying over partial_ok to complete_running', async () => {
  let count = 0
  const behave = () => {
    count += 1
    return { healthyAfterMs: count * 1_000 }
  }
  const cluster = await startCluster({ behave })
  await cluster.deploy('api', 3)
  const states = await statesUntil(cluster, isFinished(cluster))
  expect(states).toEqual(['deploying', 'partial_ok', 'complete_running'])
  expect(cluster.live('api').map(({ state }) => state)).toEqual(['started', 'started', 'started'])
  expect(cluster.snapshot().deployments.at(-1)?.why).toBe('3 of 3 running')
})

test('S20/S21: six tries with 1, 2, 4, 8, 16 s between them, the last three on other workers', async () => {
  const behave = () => ({ endsAfterMs: 5, code: 3, output: ['cannot open /etc/app'] })
  const cluster = await startCluster({ behave })
  await cluster.deploy('bad', 1)
  const states = await statesUntil(cluster, isFinished(cluster))
  expect(states).toEqual(['deploying', 'incomplete_running'])

  const starts = [...cluster.world.agents.values()].flatMap(({ name, machine }) =>
    machine.starts().map(() => name),
  )
  expect(starts).toEqual(['w1', 'w1', 'w1', 'w1', 'w2', 'w3'])
  const tries = cluster.world.trace
    .filter(({ text }) => /w\d: instance changed .*"now":"failed_to_start"/.test(text))
    .map(({ at }) => at)
  const waits = tries.slice(1).map((at, index) => Math.round((at - (tries[index] ?? 0)) / 1_000))
  expect(waits).toEqual([1, 2, 4, 8, 16])

  const [failed] = cluster.finals('bad')
  expect(failed).toMatchObject({ state: 'failed_to_start', attempt: 6 })
  expect(failed?.why).toContain('failed to start 6 times')
  expect(cluster.snapshot().deployments.at(-1)?.failure).toMatchObject({
    exit_code: 3,
    log_tail: ['cannot open /etc/app'],
    instance: failed?.id,
  })
  await cluster.pass(120_000)
  expect(cluster.startCount()).toBe(6)
  expect(cluster.subjects()).toEqual(['[tucano] service bad is failing'])
})

test('S26: one instance that fails to start makes it partial_err, then incomplete_running', async () => {
  const cluster = await startCluster()
  const ids: string[] = []
  cluster.world.behave = ({ id }) => {
    if (!ids.includes(id)) ids.push(id)
    if (id === ids[0]) return { endsAfterMs: 5, code: 1 }
    return id === ids[1] ? {} : { healthyAfterMs: 45_000 }
  }
  await cluster.deploy('api', 3)
  const states = await statesUntil(cluster, isFinished(cluster))
  expect(states).toEqual(['deploying', 'partial_ok', 'partial_err', 'incomplete_running'])
  expect(cluster.snapshot().deployments.at(-1)?.why).toBe('2 of 3 running, 1 failed to start')
  expect(cluster.routed('api')).toHaveLength(2)
})

test('Q03/Q17: an update that does not start leaves all of the old version serving', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 3)
  cluster.world.behave = () => ({ endsAfterMs: 5, code: 1 })
  let least = 3
  const update = { auto_revert: false }
  await cluster.deploy('api', 3, { env: { V: 'bad' }, update })
  await statesUntil(cluster, () => {
    least = Math.min(least, cluster.routed('api').length)
    return isFinished(cluster)()
  })
  expect(least).toBe(3)
  expect(cluster.live('api').map(({ revision }) => revision)).toEqual([1, 1, 1])
  expect(cluster.startCount()).toBe(3 + 6)
})

test('S22: stopped before it started, an instance ends as never_started', async () => {
  const cluster = await startCluster({ behave: () => ({ healthyAfterMs: 10_000 }) })
  await cluster.deploy('api', 2)
  await cluster.until(() => cluster.programs('w1').length === 1)
  await cluster.submit({ kind: 'stop', service: 'api' })
  expect(cluster.live('api').map(({ state }) => state)).toEqual([
    'pre_terminating',
    'pre_terminating',
  ])
  const states = await statesUntil(cluster, isFinished(cluster))
  expect(states.at(-1)).toBe('complete_termination')
  expect(cluster.finals('api').map(({ state }) => state)).toEqual([
    'never_started',
    'never_started',
  ])
  expect(cluster.programs('w1')).toEqual([])
})

test('S24/S26: a stop goes from terminating over partial_term_ok to complete_termination', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 3)
  let count = 0
  cluster.world.requestMs = () => {
    count += 1
    return count * 2_000
  }
  await cluster.submit({ kind: 'stop', service: 'api' })
  const states = await statesUntil(cluster, isFinished(cluster))
  expect(states).toEqual(['terminating', 'partial_term_ok', 'complete_termination'])
  expect(new Set(cluster.finals('api').map(({ state }) => state))).toEqual(new Set(['terminated']))
})

test('S24/S26: what dies with its node while it stops is an incomplete_termination', async () => {
  const cluster = await startCluster({ behave: () => ({ termMs: 15_000 }) })
  await cluster.run('api', 1)
  await cluster.submit({ kind: 'stop', service: 'api' })
  await cluster.pass(1_000)
  cluster.cutOff('w1')
  const states = await statesUntil(cluster, isFinished(cluster))
  expect(states.at(-1)).toBe('incomplete_termination')
  expect(cluster.finals('api')[0]).toMatchObject({ state: 'failed_to_terminate' })
})

test('S26: a newer deployment supersedes one that is under way', async () => {
  const cluster = await startCluster({ behave: () => ({ healthyAfterMs: 5_000 }) })
  await cluster.deploy('api', 2)
  await cluster.pass(1_000)
  await cluster.deploy('api', 2, { env: { V: '2' } })
  await cluster.until(() => cluster.isWhole('api'))
  expect(cluster.snapshot().deployments.map(({ state }) => state)).toEqual([
    'superseded',
    'complete_running',
  ])
  expect(cluster.live('api').map(({ revision }) => revision)).toEqual([2, 2])
})

test('S25: of each service the newest 20 final instances stay visible', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 1)
  for (let version = 2; version <= 24; version += 1) {
    await cluster.deploy('api', 1, { env: { V: String(version) } })
    await cluster.until(() => cluster.finals('api').length >= Math.min(version - 1, 20))
    await cluster.until(() => cluster.live('api')[0]?.revision === version)
    await cluster.until(() => cluster.isWhole('api'))
  }
  expect(cluster.finals('api')).toHaveLength(20)
  expect(cluster.finals('api')[0]?.revision).toBe(4)
})
