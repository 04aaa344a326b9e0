// What a life of the controller takes over from one that ended at the worst moment.

import { expect, test } from 'vitest'
import type { Store } from '#ctld/ports.ts'
import { TucanoError } from '#shared/errors.ts'
import { configOf } from '#test/helpers/cluster.ts'
import { startCluster, type VirtualCluster } from '#test/helpers/virtual-cluster.ts'

/** From the next start on: kill -9 when a death is in the document and not yet in the records. */
function killAtFirstDeath({ world }: VirtualCluster): void {
  const { storage } = world.controller
  const { open } = storage
  const none = { put: [], remove: [] }
  storage.open = (): Store => {
    const store = open()
    return {
      ...store,
      async commit(changes) {
        const { document } = changes
        if (!document?.nodes.some(({ state }) => state === 'reviving')) return store.commit(changes)
        await store.commit({ document, instances: none, deployments: none, events: [] })
        storage.open = open
        world.killController('kill')
      },
    }
  }
}

test('F02: what a death cost is made good also when the controller died while it wrote it', async () => {
  const cluster = await startCluster()
  const { world } = cluster
  await cluster.run('api', 3)
  killAtFirstDeath(cluster)
  await cluster.restartController()
  await cluster.until(() => cluster.isAlive('w1') && cluster.isAlive('w2') && cluster.isAlive('w3'))
  cluster.powerOff('w1')
  await cluster.until(() => world.controller.ctld === undefined)
  world.startController()
  await cluster.until(() => world.controller.ctld !== undefined && cluster.isWhole('api'))
  expect(cluster.routed('api')).not.toContain('w1')
})

test('F13: a controller that is started twice while most are cut off moves nothing either', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 3)
  cluster.cutOff('w1', 'w2')
  await cluster.restartController()
  await cluster.pass(3_000)
  await cluster.restartController()
  await cluster.pass(60_000)
  expect(cluster.snapshot().frozen?.nodes).toEqual(['w1', 'w2'])
  expect(cluster.places('api')).toBe('w3')
})

test('I3: nobody is shown what is not on disk yet and may still be refused', async () => {
  const cluster = await startCluster()
  const { storage } = cluster.world.controller
  const { open } = storage
  let shown: string[] | undefined
  storage.open = (): Store => {
    const store = open()
    return {
      ...store,
      async commit(changes) {
        if (!changes.document?.services.some(({ name }) => name === 'ghost')) {
          return store.commit(changes)
        }
        shown = cluster.snapshot().configured_services.map(({ name }) => name)
        throw new TucanoError('store_failed', 'no space is left')
      },
    }
  }
  await cluster.restartController()
  await cluster.until(() => cluster.isAlive('w1'))
  // From here on nobody looks, so that no older view is at hand.
  await cluster.clock.advance(10_000)
  const answer = cluster.ctld().submit({ kind: 'deploy', config: configOf('ghost', 1) })
  const refused = expect(answer).rejects.toMatchObject({ code: 'store_failed' })
  while (shown === undefined) await cluster.clock.runNext(cluster.clock.now() + 1_000)
  await refused
  expect(shown).toEqual([])
})

test.each([
  { case: 'that came late', updatedBefore: true, awayMs: 20_000 },
  { case: 'whose service was changed since', updatedBefore: false, awayMs: 0 },
])('Q16: when records were lost, no program is taken over $case', async (given) => {
  const cluster = await startCluster()
  const { storage } = cluster.world.controller
  const { open } = storage
  const update = async () => {
    await cluster.deploy('api', 3, { env: { V: '2' } })
    await cluster.until(() => cluster.snapshot().deployments.at(-1)?.state === 'complete_running')
  }
  await cluster.run('api', 3)
  cluster.cutOff('w3')
  await cluster.until(() => cluster.node('w3').state === 'dead' && cluster.isWhole('api'))
  if (given.updatedBefore) await update()
  storage.open = (): Store => {
    const store = open()
    const load = async () => ({ ...(await store.load()), instances: [], deployments: [] })
    return { ...store, load }
  }
  await cluster.restartController()
  await cluster.until(() => cluster.isWhole('api'))
  if (!given.updatedBefore) await update()
  await cluster.pass(given.awayMs)
  const ids = cluster.live('api').map(({ id }) => id)

  cluster.world.network.heal()
  await cluster.until(() => cluster.isAlive('w3') && cluster.programs('w3').length === 0)
  expect(cluster.live('api').map(({ id }) => id)).toEqual(ids)
})
