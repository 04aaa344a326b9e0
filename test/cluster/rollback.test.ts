// Back to a former revision because somebody says so: to which one, and what becomes of the
// numbers.

import { expect, test } from 'vitest'
import type { Start } from '#test/fakes/programs.ts'
import { startCluster, type VirtualCluster } from '#test/helpers/virtual-cluster.ts'

const version = (number: number) => ({ env: { V: String(number) } })
const last = (cluster: VirtualCluster) => cluster.snapshot().deployments.at(-1)
const isOver = (cluster: VirtualCluster) => () => last(cluster)?.finishedAt !== undefined

/** Revisions 1 to `count`, each of them proven good. */
async function withRevisions(count: number, concurrency = 2): Promise<VirtualCluster> {
  const cluster = await startCluster()
  for (let number = 1; number <= count; number += 1) {
    await cluster.deploy('api', concurrency, version(number))
    await cluster.until(isOver(cluster))
  }
  return cluster
}

const rollback = (cluster: VirtualCluster, revision?: number) =>
  cluster.submit({
    kind: 'rollback',
    service: 'api',
    ...(revision === undefined ? {} : { revision }),
  })

test('to an old revision: its whole configuration, under its own number', async () => {
  const cluster = await withRevisions(3)
  await rollback(cluster, 1)
  expect(last(cluster)).toMatchObject({ kind: 'rollback', revision: 1, former: 3 })
  await cluster.until(isOver(cluster))
  expect(cluster.service('api')).toMatchObject({ revision: 1, goodRevision: 1 })
  expect(cluster.service('api').config.env).toEqual({ V: '1' })
  expect(cluster.live('api').map(({ revision }) => revision)).toEqual([1, 1])
})

test('the next new configuration gets the next number, not one that was taken', async () => {
  const cluster = await withRevisions(3)
  await rollback(cluster, 1)
  await cluster.deploy('api', 2, version(9))
  expect(cluster.service('api')).toMatchObject({ revision: 4, programRevision: 4 })
  expect(cluster.service('api').revisions.map(({ revision }) => revision)).toEqual([1, 2, 3, 4])
})

test('without a number to the one before, and on from there', async () => {
  const cluster = await withRevisions(3)
  await rollback(cluster)
  expect(cluster.service('api').revision).toBe(2)
  await cluster.until(isOver(cluster))
  await rollback(cluster)
  expect(cluster.service('api').revision).toBe(1)
  await cluster.until(isOver(cluster))
  const refusal = await cluster.refusal({ kind: 'rollback', service: 'api' })
  expect(refusal).toMatchObject({
    code: 'conflict',
    message: 'api has no revision before 1 that worked',
  })
})

test('never, unless it is named, to one that was taken back', async () => {
  const cluster = await withRevisions(1)
  cluster.world.behave = ({ env }) => (env.V === '2' ? { endsAfterMs: 5, code: 1 } : {})
  await cluster.deploy('api', 2, version(2))
  await cluster.until(() => last(cluster)?.kind === 'revert' && isOver(cluster)())
  await cluster.deploy('api', 2, version(3))
  await cluster.until(isOver(cluster))
  expect(cluster.service('api').revisions.map(({ worked }) => worked)).toEqual([
    true,
    undefined,
    true,
  ])
  await rollback(cluster)
  expect(cluster.service('api').revision).toBe(1)
})

test('a former revision of which nobody knows whether it worked has to be named', async () => {
  const behave = ({ env }: Start) => (env.V === '1' ? { endsAfterMs: 5, code: 1 } : {})
  const cluster = await startCluster({ behave })
  await cluster.deploy('api', 1, version(1))
  await cluster.until(isOver(cluster), 300_000)
  await cluster.deploy('api', 1, version(2))
  await cluster.until(isOver(cluster))
  const refusal = await cluster.refusal({ kind: 'rollback', service: 'api' })
  expect(refusal.message).toBe(
    'api has no revision before 2 that worked; it has 1: name the one that you mean',
  )
})

test('while a deployment is open: that one is superseded, and the last good one runs', async () => {
  const cluster = await withRevisions(2)
  cluster.world.behave = ({ env }) => (env.V === '3' ? { healthyAfterMs: 30_000 } : {})
  await cluster.deploy('api', 2, version(3))
  await cluster.pass(2_000)
  await rollback(cluster)
  await cluster.until(isOver(cluster))
  expect(cluster.snapshot().deployments.slice(-2)).toMatchObject([
    { revision: 3, state: 'superseded' },
    { revision: 2, kind: 'rollback', state: 'complete_running' },
  ])
  await cluster.until(() => cluster.isWhole('api'))
  expect(cluster.live('api').map(({ revision }) => revision)).toEqual([2, 2])
  expect(cluster.startCount()).toBe(2 + 2 + 1)
})

test('a rollback that fails goes back to where it came from', async () => {
  const cluster = await withRevisions(2)
  cluster.world.behave = ({ env }) => (env.V === '1' ? { endsAfterMs: 5, code: 1 } : {})
  await rollback(cluster, 1)
  await cluster.until(() => last(cluster)?.kind === 'revert' && isOver(cluster)())
  expect(cluster.service('api')).toMatchObject({ revision: 2, goodRevision: 2 })
  expect(cluster.live('api').map(({ revision }) => revision)).toEqual([2, 2])
})

test('to a revision that is not kept, or that is declared, is refused', async () => {
  const cluster = await withRevisions(2)
  const refusalOf = (revision: number) =>
    cluster.refusal({ kind: 'rollback', service: 'api', revision })
  expect(await refusalOf(7)).toMatchObject({ code: 'not_found' })
  expect((await refusalOf(7)).message).toBe('api has no revision 7 (any more); it has 1, 2')
  expect(await refusalOf(2)).toMatchObject({ code: 'conflict' })
  expect(await cluster.refusal({ kind: 'rollback', service: 'web' })).toMatchObject({
    code: 'not_found',
  })
})

test('six revisions are kept, and the one that runs', async () => {
  const cluster = await withRevisions(8, 1)
  const kept = () => cluster.service('api').revisions.map(({ revision }) => revision)
  // Instances that ended are kept as well, and with them what they ran: the rest is forgotten.
  expect(kept().slice(-6)).toEqual([3, 4, 5, 6, 7, 8])
})

test('a program that was there before is the same program again', async () => {
  const cluster = await withRevisions(2)
  cluster.world.behave = ({ env }) => (env.V === '3' ? { healthyAfterMs: 30_000 } : {})
  await cluster.deploy('api', 2, version(3))
  await cluster.pass(2_000)
  const starts = cluster.startCount()
  await cluster.deploy('api', 2, version(2))
  await cluster.until(isOver(cluster))
  expect(cluster.service('api')).toMatchObject({ revision: 4, programRevision: 2 })
  expect(cluster.startCount()).toBe(starts)
})

test('what is stopped stays stopped', async () => {
  const cluster = await withRevisions(2)
  await cluster.submit({ kind: 'stop', service: 'api' })
  await cluster.until(isOver(cluster))
  await rollback(cluster, 1)
  await cluster.until(isOver(cluster))
  expect(cluster.service('api')).toMatchObject({ revision: 1, desired: 'stopped' })
  expect(cluster.live('api')).toEqual([])
})

test('the good one is kept however many others fail', async () => {
  const cluster = await withRevisions(1, 1)
  cluster.world.behave = ({ env }) => (env.V === '1' ? {} : { endsAfterMs: 5, code: 1 })
  for (let number = 2; number <= 9; number += 1) {
    await cluster.deploy('api', 1, version(number))
    await cluster.until(() => last(cluster)?.kind === 'revert' && isOver(cluster)())
  }
  expect(cluster.service('api')).toMatchObject({ revision: 1, goodRevision: 1 })
  expect(cluster.live('api').map(({ revision }) => revision)).toEqual([1])
})
