// A controller that restarts while a deployment is judged, or undone.

import { describe, expect, test } from 'vitest'
import type { Instance } from '#shared/model.ts'
import type { Behaviour, Start } from '#test/fakes/programs.ts'
import { createClients } from '#test/helpers/clients.ts'
import { startCluster, type VirtualCluster } from '#test/helpers/virtual-cluster.ts'

const GOOD = { env: { V: 'good' } }
const BAD = { env: { V: 'bad' } }

async function running(bad: Behaviour = {}, extra: object = {}): Promise<VirtualCluster> {
  const behave = ({ env }: Start) => (env.V === 'bad' ? bad : {})
  const cluster = await startCluster({ behave })
  await cluster.run('api', 3, { ...GOOD, ...extra })
  return cluster
}

const last = (cluster: VirtualCluster) => cluster.snapshot().deployments.at(-1)
const isOver = (cluster: VirtualCluster) => () => last(cluster)?.finishedAt !== undefined

async function untilBack(cluster: VirtualCluster): Promise<void> {
  await cluster.until(() => last(cluster)?.kind === 'revert' && isOver(cluster)(), 600_000)
  await cluster.until(() => cluster.isWhole('api'))
  expect(cluster.live('api').map(({ revision }) => revision)).toEqual([1, 1, 1])
  expect(cluster.service('api')).toMatchObject({ revision: 1, goodRevision: 1 })
  expect(last(cluster)?.state).toBe('complete_running')
}

describe('a controller that restarts', () => {
  test('while it is watched watches on, and knows what the new ones did', async () => {
    const cluster = await running()
    let isBad = false
    const answers = (one: Instance) => ({ failed: isBad && one.revision === 2 ? 1 : 0 })
    createClients(cluster, { perSecond: 300, answers })
    await cluster.deploy('api', 3, BAD)
    await cluster.until(() => last(cluster)?.state === 'watching')
    isBad = true
    await cluster.restartController(3_000)
    await untilBack(cluster)
  })

  test('in the middle of a way back goes on with it', async () => {
    const cluster = await running({ endsAfterMs: 2_500, code: 9 })
    await cluster.deploy('api', 3, BAD)
    await cluster.until(() => last(cluster)?.kind === 'revert')
    await cluster.restartController()
    await untilBack(cluster)
  })

  test('was away for longer than the deadline: that time does not count', async () => {
    const extra = { update: { deadline: '20s' } }
    const cluster = await running({ healthyAfterMs: 4_000 }, extra)
    await cluster.deploy('api', 3, { ...BAD, ...extra })
    await cluster.pass(500)
    await cluster.restartController(60_000)
    await cluster.until(isOver(cluster))
    expect(last(cluster)).toMatchObject({ revision: 2, state: 'complete_running' })
  })
})
