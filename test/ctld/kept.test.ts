// What is kept of services that were removed: a cluster in which each branch of a repository is
// deployed under a name of its own must not grow for ever.

import { expect, test } from 'vitest'
import { foldCommand } from '#ctld/discovery/fold-command.ts'
import { foldOld } from '#ctld/discovery/fold-instance.ts'
import { createWorld } from '#ctld/discovery/world.ts'
import type { Deployment, Instance } from '#shared/model.ts'
import { parseTopology } from '#shared/topology.ts'
import { configOf } from '#test/helpers/cluster.ts'

const config = parseTopology('topology: [{ name: c1, kind: ctl, ip: 10.0.0.1 }]', 'topology.yaml')
const NUMBERS = Array.from({ length: 250 }, (_, number) => number)

test('I9: of removed services the newest 200 instances and deployments stay, all together', () => {
  const loaded = { document: undefined, lastEventCursor: 0, notices: [] }
  const instances = NUMBERS.map(endedInstance)
  const deployments = NUMBERS.map(endedDeployment)
  const world = createWorld({ ...loaded, instances, deployments }, config, 1_000)
  const command = { kind: 'deploy', config: configOf('api', 1) } as const
  foldCommand(world, { command, newId: () => 'new' }, 1_000)
  foldOld(world, 1_000)
  const kept = NUMBERS.slice(-200)
  expect(world.tables.instances.values().map(({ id }) => id)).toEqual(kept.map((n) => `i${n}`))
  expect(world.tables.deployments.values().map(({ id }) => id)).toEqual([
    ...kept.map((n) => `d${n}`),
    'new',
  ])
})

function endedInstance(number: number): Instance {
  return {
    id: `i${number}`,
    service: `branch-${number}`,
    revision: 1,
    deployment: `d${number}`,
    node: 'w1',
    state: 'terminated',
    attempt: 1,
    createdAt: number,
    changedAt: number,
    why: 'its service was removed',
    healthy: false,
    admitted: false,
    restarts: 0,
    stopTry: 1,
  }
}

function endedDeployment(number: number): Deployment {
  return {
    id: `d${number}`,
    service: `branch-${number}`,
    revision: 1,
    kind: 'remove',
    state: 'complete_termination',
    why: 'all stopped',
    createdAt: number,
    finishedAt: number,
  }
}
