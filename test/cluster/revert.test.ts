// A deployment that fails goes back to the revision that worked, by itself and as a whole, and its
// record says what failed.

import { describe, expect, test } from 'vitest'
import type { Instance } from '#shared/model.ts'
import type { Behaviour, Start } from '#test/fakes/programs.ts'
import { createClients } from '#test/helpers/clients.ts'
import { startCluster, type VirtualCluster } from '#test/helpers/virtual-cluster.ts'

const GOOD = { env: { V: 'good' } }
const BAD = { env: { V: 'bad' } }

/** Three instances of a good program; what is bad behaves as the test says. */
async function running(bad: Behaviour = {}, extra: object = {}): Promise<VirtualCluster> {
  const behave = ({ env }: Start) => (env.V === 'bad' ? bad : {})
  const cluster = await startCluster({ behave })
  await cluster.run('api', 3, { ...GOOD, ...extra })
  return cluster
}

const last = (cluster: VirtualCluster) => cluster.snapshot().deployments.at(-1)
const of = (cluster: VirtualCluster, revision: number) =>
  cluster.snapshot().deployments.findLast((one) => one.revision === revision)
const isOver = (cluster: VirtualCluster) => () => last(cluster)?.finishedAt !== undefined

/** Until the way back is through; answers how few were routed to meanwhile. */
async function untilReverted(cluster: VirtualCluster, limitMs = 600_000): Promise<number> {
  let least = 3
  await cluster.until(() => {
    least = Math.min(least, cluster.routed('api').length)
    return last(cluster)?.kind === 'revert' && isOver(cluster)()
  }, limitMs)
  await cluster.until(() => cluster.isWhole('api'))
  return least
}

function expectBack(cluster: VirtualCluster): void {
  expect(cluster.live('api').map(({ revision }) => revision)).toEqual([1, 1, 1])
  expect(cluster.service('api')).toMatchObject({ revision: 1, programRevision: 1, goodRevision: 1 })
  const [failed, back] = cluster.snapshot().deployments.slice(-2)
  expect(failed).toMatchObject({ revision: 2, state: 'reverted', former: 1, revertedBy: back?.id })
  expect(back).toMatchObject({
    kind: 'revert',
    revision: 1,
    former: 2,
    revertOf: failed?.id,
    state: 'complete_running',
  })
}

describe('it goes back when', () => {
  test('the new revision is never healthy: three tries, the last probe and the last lines', async () => {
    const cluster = await running({ endsAfterMs: 5, code: 3, output: ['cannot open /etc/app'] })
    await cluster.deploy('api', 3, BAD)
    expect(await untilReverted(cluster)).toBe(3)
    expectBack(cluster)
    expect(of(cluster, 2)).toMatchObject({
      failure: { exit_code: 3, log_tail: ['cannot open /etc/app'] },
    })
    expect(of(cluster, 2)?.why).toMatch(/^failed to start 3 times on w\d: .*; back to revision 1$/)
    expect(cluster.startCount()).toBe(3 + 3)
    await cluster.pass(120_000)
    expect(cluster.startCount()).toBe(3 + 3)
    expect(cluster.subjects().join()).toMatch(/^\[tucano\] service api/)
    expect(cluster.world.mails[0]?.text).toContain('the deployment of revision 2 failed')
  })

  test('it is healthy and then crashes, twice', async () => {
    const cluster = await running({ endsAfterMs: 2_500, code: 9, output: ['out of luck'] })
    await cluster.deploy('api', 3, BAD)
    await untilReverted(cluster)
    expectBack(cluster)
    expect(of(cluster, 2)?.why).toMatch(/^crashed 2 times: /)
    expect(of(cluster, 2)?.failure).toMatchObject({ exit_code: 9, log_tail: ['out of luck'] })
  })

  test('nothing comes further within the deadline', async () => {
    const extra = { update: { deadline: '20s' }, health: { start_timeout: '10m' } }
    const cluster = await running({ healthyAfterMs: Number.POSITIVE_INFINITY }, extra)
    const since = cluster.clock.now()
    await cluster.deploy('api', 3, { ...BAD, ...extra })
    await cluster.until(() => of(cluster, 2)?.state === 'reverted', 60_000)
    expect(cluster.clock.now() - since).toBeGreaterThanOrEqual(20_000)
    expect(cluster.clock.now() - since).toBeLessThan(24_000)
    expect(await untilReverted(cluster)).toBe(3)
    expectBack(cluster)
    expect(of(cluster, 2)?.why).toMatch(/^no progress within 20s: 0 of 3 healthy/)
  })

  test('it comes further slowly, but comes further: not', async () => {
    const extra = { update: { deadline: '20s' } }
    const cluster = await running({ healthyAfterMs: 15_000 }, extra)
    await cluster.deploy('api', 3, { ...BAD, ...extra })
    await cluster.until(isOver(cluster), 120_000)
    expect(last(cluster)).toMatchObject({ revision: 2, state: 'complete_running' })
  })

  test('a fifth of its answers are errors: as soon as enough is known, and none of the others fails', async () => {
    const cluster = await running()
    const answers = (one: Instance) => (one.revision === 2 ? { failed: 0.2 } : {})
    const clients = createClients(cluster, { perSecond: 300, answers })
    await cluster.pass(15_000)
    await cluster.deploy('api', 3, BAD)
    expect(await untilReverted(cluster)).toBe(3)
    expectBack(cluster)
    const failed = of(cluster, 2)
    expect(failed?.why).toMatch(/^(19|20)\.\d % of its \d+ requests failed, 0\.0 % of the former/)
    const bad = failed?.receipt?.programs.find(({ program }) => program === 2)
    const good = failed?.receipt?.programs.find(({ program }) => program === 1)
    expect(good).toMatchObject({ failed: 0 })
    expect(bad?.failed).toBe(Math.floor((bad?.requests ?? 0) / 5))
    expect(clients.got('api')[500]).toBeGreaterThanOrEqual(bad?.failed ?? 0)
    expect(failed?.receipt?.before).toMatchObject({ failed: 0, p99Ms: expect.closeTo(10, 0) })
  })

  test('it is slow: 99 % take longer than the bound', async () => {
    const guard = { update: { guard: { p99: '200ms', error_rate: 1 } } }
    const cluster = await running({}, guard)
    const answers = (one: Instance) => ({ ms: one.revision === 2 ? 450 : 40 })
    createClients(cluster, { perSecond: 300, answers })
    await cluster.pass(15_000)
    await cluster.deploy('api', 3, { ...BAD, ...guard })
    await untilReverted(cluster)
    expectBack(cluster)
    expect(of(cluster, 2)?.why).toMatch(/^99 % of its \d+ requests take up to 4\d\d ms, 4\d ms of/)
  })

  test('it turns bad while it is watched', async () => {
    const cluster = await running()
    let isBad = false
    const answers = (one: Instance) => ({ failed: isBad && one.revision === 2 ? 1 : 0 })
    createClients(cluster, { perSecond: 300, answers })
    await cluster.deploy('api', 3, BAD)
    await cluster.until(() => last(cluster)?.state === 'watching')
    expect(cluster.routed('api')).toHaveLength(3)
    isBad = true
    await untilReverted(cluster)
    expectBack(cluster)
  })
})

describe('the way back', () => {
  const answers = (one: Instance) => (one.revision === 2 ? { failed: 0.2 } : {})

  test('of blue_green is one step: the former group was kept running', async () => {
    const update = { update: { strategy: 'blue_green' } }
    const cluster = await running({}, update)
    createClients(cluster, { perSecond: 300, answers })
    await cluster.deploy('api', 3, { ...BAD, ...update })
    await cluster.until(() => last(cluster)?.state === 'watching')
    expect(await untilReverted(cluster)).toBe(3)
    expectBack(cluster)
    expect(cluster.startCount()).toBe(3 + 3)
  })

  test('of a canary comes while the new revision has its first share', async () => {
    const update = { update: { strategy: 'canary', steps: [10, 50], pause: '60s' } }
    const cluster = await running({}, update)
    const clients = createClients(cluster, { perSecond: 300, answers })
    await cluster.deploy('api', 3, { ...BAD, ...update })
    expect(await untilReverted(cluster)).toBe(3)
    expectBack(cluster)
    expect(cluster.service('api').rollout).toBeUndefined()
    // One of the new, and one again in its place.
    expect(cluster.startCount()).toBe(3 + 1 + 1)
    expect(clients.got('api')[500]).toBeLessThan(100)
  })

  test('of recreate starts the former program again', async () => {
    const update = { update: { strategy: 'recreate' } }
    const cluster = await running({ endsAfterMs: 5, code: 1 }, update)
    await cluster.deploy('api', 3, { ...BAD, ...update })
    await untilReverted(cluster)
    expectBack(cluster)
  })

  test('undoes what was changed while it was open, and a later change goes on from there', async () => {
    const cluster = await running({ endsAfterMs: 2_500, code: 1 })
    await cluster.deploy('api', 3, BAD)
    await cluster.submit({ kind: 'scale', service: 'api', concurrency: 4 })
    await cluster.until(() => last(cluster)?.kind === 'revert' && isOver(cluster)())
    expect(cluster.service('api')).toMatchObject({ revision: 1, config: { concurrency: 3 } })
    await cluster.submit({ kind: 'scale', service: 'api', concurrency: 2 })
    await cluster.until(isOver(cluster))
    expect(cluster.service('api')).toMatchObject({ revision: 4, programRevision: 1 })
    expect(last(cluster)).toMatchObject({ kind: 'scale', state: 'complete_running' })
    await cluster.until(() => cluster.isWhole('api'))
  })

  test('that fails as well ends there, and is told', async () => {
    const cluster = await running({ endsAfterMs: 5, code: 1 }, { update: { strategy: 'recreate' } })
    cluster.world.behave = () => ({ endsAfterMs: 5, code: 1 })
    await cluster.deploy('api', 3, { ...BAD, update: { strategy: 'recreate' } })
    await cluster.until(() => last(cluster)?.kind === 'revert' && isOver(cluster)(), 900_000)
    expect(last(cluster)).toMatchObject({ kind: 'revert', state: 'incomplete_running' })
    expect(cluster.snapshot().deployments).toHaveLength(3)
  })
})

describe('it does not go back', () => {
  test('when all is well: it is watched, and good then', async () => {
    const cluster = await running()
    createClients(cluster, { perSecond: 300 })
    await cluster.pass(15_000)
    await cluster.deploy('api', 3, BAD)
    await cluster.until(() => last(cluster)?.state === 'watching')
    expect(cluster.service('api').goodRevision).toBe(1)
    const watched = await cluster.until(isOver(cluster))
    expect(watched).toBeGreaterThanOrEqual(9_900)
    expect(watched).toBeLessThan(10_500)
    expect(cluster.service('api').goodRevision).toBe(2)
    const { receipt } = last(cluster) ?? {}
    expect(receipt?.before.requests).toBeGreaterThan(3_000)
    expect(receipt?.during.requests).toBeGreaterThan(0)
    expect(receipt?.after.requests).toBeGreaterThan(2_000)
    expect(receipt?.programs.map(({ program }) => program)).toEqual([1, 2])
  })

  test('the first deployment: it has nothing to go back to', async () => {
    const cluster = await startCluster({ behave: () => ({ endsAfterMs: 5, code: 1 }) })
    await cluster.deploy('api', 3)
    await cluster.until(isOver(cluster), 300_000)
    expect(last(cluster)).toMatchObject({ kind: 'deploy', state: 'incomplete_running' })
    expect(cluster.snapshot().deployments).toHaveLength(1)
  })

  test('when it shall not: all six tries, and what ran runs on', async () => {
    const off = { update: { auto_revert: false } }
    const cluster = await running({ endsAfterMs: 5, code: 1 }, off)
    await cluster.deploy('api', 3, { ...BAD, ...off })
    await cluster.until(isOver(cluster), 300_000)
    expect(last(cluster)).toMatchObject({ revision: 2, state: 'incomplete_running' })
    expect(cluster.routed('api')).toHaveLength(3)
  })

  test('for errors that the former revision had as well', async () => {
    const cluster = await running()
    createClients(cluster, { perSecond: 300, answers: () => ({ failed: 0.2 }) })
    await cluster.pass(15_000)
    await cluster.deploy('api', 3, BAD)
    await cluster.until(isOver(cluster))
    expect(last(cluster)).toMatchObject({ revision: 2, state: 'complete_running' })
  })

  test('for a few requests: that is no sample', async () => {
    const cluster = await running()
    const answers = (one: Instance) => (one.revision === 2 ? { failed: 1 } : {})
    createClients(cluster, { perSecond: 10, answers })
    const guard = { update: { guard: { min_requests: 100_000 } } }
    await cluster.deploy('api', 3, { ...BAD, ...guard })
    await cluster.until(isOver(cluster))
    expect(last(cluster)).toMatchObject({ revision: 2, state: 'complete_running' })
  })

  test('when the balancer says nothing: that holds up no deployment, and is no receipt', async () => {
    const cluster = await running()
    const clients = createClients(cluster, { perSecond: 300, answers: () => ({ failed: 1 }) })
    clients.silence(true)
    await cluster.deploy('api', 3, BAD)
    await cluster.until(isOver(cluster))
    expect(last(cluster)).toMatchObject({ revision: 2, state: 'complete_running' })
    expect(last(cluster)).not.toHaveProperty('receipt')
  })

  test('for what another data plane had counted', async () => {
    const cluster = await running()
    const clients = createClients(cluster, { perSecond: 300 })
    await cluster.deploy('api', 3, BAD)
    await cluster.until(() => last(cluster)?.state === 'watching')
    clients.restart()
    await cluster.until(isOver(cluster))
    expect(last(cluster)).toMatchObject({ revision: 2, state: 'complete_running' })
  })
})
