// A controller that was upgraded finds the document of its former version.

import { expect, test } from 'vitest'
import { completeInstance } from '#ctld/discovery/complete-document.ts'
import { foldCommand } from '#ctld/discovery/fold-command.ts'
import { createStateFile } from '#ctld/discovery/state-file.ts'
import { createWorld } from '#ctld/discovery/world.ts'
import { withPrograms } from '#ctld/revision.ts'
import type { ServiceConfig } from '#shared/configuration.ts'
import type { Instance } from '#shared/model.ts'
import { parseTopology } from '#shared/topology.ts'
import { createFakeDisk } from '#test/fakes/disk.ts'
import { configOf } from '#test/helpers/cluster.ts'
import { aDocument, anInstance } from '#test/helpers/stored.ts'

const config = parseTopology('topology: [{ name: c1, kind: ctl, ip: 10.0.0.1 }]', 'topology.yaml')

/** As it was before services had these keys. */
function oldOf(today: ServiceConfig): ServiceConfig {
  const { protocol, proxy_protocol, slow_start, limits, hold, pipelining, ...rest } = today
  return rest as ServiceConfig
}

test('services of a former version get the new keys, and the same file is no new revision', async () => {
  const today = configOf('api', 2)
  const old = oldOf(today)
  const service = {
    name: 'api',
    config: old,
    revision: 4,
    programRevision: 4,
    revisions: [{ revision: 4, config: old, at: 1 }],
    desired: 'running' as const,
    deployment: 'd1',
    createdAt: 1,
    changedAt: 1,
  }
  const file = createStateFile({
    disk: createFakeDisk().mount(),
    clock: { wall: () => 1_000 },
    folder: '/data',
  })
  await file.write({ ...aDocument(1), services: [service as never] })
  const { document, notices } = await file.read()
  expect(notices).toEqual([])
  const read = document?.services[0]
  expect(read).toMatchObject({ ...service, config: today, revisions: [{ config: today }] })
  // Services could be neither paused nor in maintenance then.
  expect(read?.traffic).toEqual({ state: 'open' })

  const loaded = { document, instances: [], deployments: [], lastEventCursor: 0, notices }
  const world = createWorld(loaded, config, 1_000)
  foldCommand(world, { command: { kind: 'deploy', config: today }, newId: () => 'new' }, 1_000)
  expect(world.tables.services.get('api')).toMatchObject({ revision: 4, programRevision: 4 })
})

test('revisions of a former version get the program that they ran, by what differs in them', () => {
  const config = configOf('api', 2)
  const other = configOf('api', 2, { env: { V: '2' } })
  const entry = (revision: number, one: ServiceConfig) => ({ revision, config: one, at: revision })
  const revisions = [
    entry(1, config),
    entry(2, { ...config, concurrency: 3 }),
    entry(3, other),
    entry(4, { ...other, hosts: ['api.example'] }),
  ]
  expect(withPrograms(revisions, 3).map(({ program }) => program)).toEqual([1, 1, 3, 3])
  // What is said already stays: a later revision may run a former program again.
  const said = withPrograms([...revisions, { ...entry(5, config), program: 1 }], 1)
  expect(said.at(-1)?.program).toBe(1)
})

test('instances of a former version that were started have their place in the route table', () => {
  const old = (state: Instance['state'], healthy: boolean) => {
    const {
      admitted: _,
      healthyAt: __,
      ...rest
    } = anInstance('i1', { state, healthy, changedAt: 7 })
    return rest as Instance
  }
  expect(completeInstance(old('started', true))).toMatchObject({ admitted: true, healthyAt: 7 })
  const ill = completeInstance(old('started', false))
  expect(ill.admitted).toBe(true)
  expect(ill).not.toHaveProperty('healthyAt')
  expect(completeInstance(old('deploying', false)).admitted).toBe(false)
  const outside = anInstance('i1', { admitted: false })
  expect(completeInstance(outside)).toEqual(outside)
})

test('workers of a former version are not cordoned, and nothing was ever rebalanced', async () => {
  const file = createStateFile({
    disk: createFakeDisk().mount(),
    clock: { wall: () => 1_000 },
    folder: '/data',
  })
  const node = { name: 'w1', state: 'alive', changedAt: 1, why: '', drained: true, leaving: null }
  const { rebalance: _, rebalanceDueAt: __, ...old } = aDocument(1)
  await file.write({ ...old, nodes: [node as never] } as never)
  const { document } = await file.read()
  expect(document?.nodes).toEqual([{ ...node, cordoned: false }])
  expect(document).toMatchObject({ rebalance: null, rebalanceDueAt: null })
})
