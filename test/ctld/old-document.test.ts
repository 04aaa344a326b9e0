// A controller that was upgraded finds the document of its former version.

import { expect, test } from 'vitest'
import { foldCommand } from '#ctld/discovery/fold-command.ts'
import { createStateFile } from '#ctld/discovery/state-file.ts'
import { createWorld } from '#ctld/discovery/world.ts'
import type { ServiceConfig } from '#shared/configuration.ts'
import { parseTopology } from '#shared/topology.ts'
import { createFakeDisk } from '#test/fakes/disk.ts'
import { configOf } from '#test/helpers/cluster.ts'
import { aDocument } from '#test/helpers/stored.ts'

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
