// What happens beside a deployment that is on trial: workers that are emptied or lose power, a
// stop, another number of instances. None of it is its program's fault, and none of it proves it.

import { describe, expect, test } from 'vitest'
import type { Behaviour, Start } from '#test/fakes/programs.ts'
import { startCluster, type VirtualCluster } from '#test/helpers/virtual-cluster.ts'

const NEW = { env: { V: 'new' } }

async function running(
  concurrency: number,
  { update = {}, behave = {} }: { update?: object; behave?: Behaviour } = {},
): Promise<VirtualCluster> {
  const cluster = await startCluster({
    behave: ({ env }: Start) => (env.V === 'new' ? behave : {}),
  })
  await cluster.run('api', concurrency, { update })
  return cluster
}

const last = (cluster: VirtualCluster) => cluster.snapshot().deployments.at(-1)
const isOver = (cluster: VirtualCluster) => () => last(cluster)?.finishedAt !== undefined
const isWatched = (cluster: VirtualCluster) => () => last(cluster)?.state === 'watching'

describe('it is not taken back because', () => {
  test('a worker is emptied while it is watched for longer than its deadline', async () => {
    const update = { deadline: '20s', guard: { watch: '2m' } }
    const cluster = await running(3, { update })
    await cluster.deploy('api', 3, { ...NEW, update })
    await cluster.until(isWatched(cluster))
    await cluster.pass(60_000)
    await cluster.submit({ kind: 'drain', node: 'w1' })
    await cluster.until(() => !isWatched(cluster)())
    await cluster.until(isWatched(cluster))
    await cluster.until(isOver(cluster), 600_000)
    expect(last(cluster)).toMatchObject({ revision: 2, state: 'complete_running' })
  })

  test('a worker with two of it loses power and comes back', async () => {
    const update = { guard: { watch: '10m' } }
    const cluster = await running(6, { update })
    await cluster.deploy('api', 6, { ...NEW, update })
    await cluster.until(isWatched(cluster), 300_000)
    cluster.powerOff('w1')
    await cluster.until(() => cluster.node('w1').state === 'dead', 120_000)
    await cluster.until(() => cluster.isWhole('api'), 300_000)
    cluster.startAgent('w1')
    await cluster.until(() => cluster.isAlive('w1'))
    await cluster.until(isOver(cluster), 1_500_000)
    expect(last(cluster)).toMatchObject({ revision: 2, state: 'complete_running' })
  })
})

describe('what has not run has not worked:', () => {
  const crashes: Behaviour = { endsAfterMs: 2_500, code: 9 }

  test('a program that was scaled while it was stopped goes back when it is started', async () => {
    const cluster = await running(3, { behave: crashes })
    await cluster.deploy('api', 3, NEW)
    await cluster.submit({ kind: 'stop', service: 'api' })
    await cluster.submit({ kind: 'scale', service: 'api', concurrency: 2 })
    await cluster.until(isOver(cluster))
    expect(cluster.service('api').goodRevision).toBe(1)
    await cluster.submit({ kind: 'start', service: 'api' })
    await cluster.until(() => last(cluster)?.kind === 'revert' && isOver(cluster)(), 600_000)
    expect(cluster.service('api')).toMatchObject({ revision: 1, desired: 'running' })
  })

  test('one of which there were none for as long as it is watched', async () => {
    const cluster = await running(3, { behave: crashes })
    await cluster.deploy('api', 0, NEW)
    await cluster.until(isOver(cluster))
    expect(cluster.service('api').goodRevision).toBe(1)
    await cluster.submit({ kind: 'scale', service: 'api', concurrency: 2 })
    await cluster.until(() => last(cluster)?.kind === 'revert' && isOver(cluster)(), 600_000)
    expect(cluster.service('api')).toMatchObject({ revision: 1 })
  })
})
