// What the controller foresees, and what it and its agents then really do; and the standing warning
// that the loss of one worker would leave something without a place.

import { expect, test } from 'vitest'
import type { FoldCommand } from '#ctld/discovery/fold-command.ts'
import type { Forecast } from '#ctld/forecast.ts'
import type { WhatIf } from '#ctld/what-if.ts'
import { configOf } from '#test/helpers/cluster.ts'
import { DETECTED_MS, startCluster, type VirtualCluster } from '#test/helpers/virtual-cluster.ts'

type Asked = FoldCommand['command']

const foresee = (cluster: VirtualCluster, whatIf: WhatIf): Promise<Forecast> =>
  cluster.settled(cluster.ctld().foresee(whatIf))

/** What was placed and what had to leave since then, in order, as a forecast tells it. */
async function doneSince(cluster: VirtualCluster, cursor: number): Promise<string[]> {
  const events = await cluster.settled(cluster.ctld().events(cursor, 10_000))
  return events.flatMap(({ kind, fields, text }) => {
    const { node, why, was } = fields
    if (text === 'instance placed') return [`place ${node}: ${why}`]
    if (kind !== 'instance.terminating' || was !== 'started') return []
    return [`terminate ${node}: ${why}`]
  })
}

const told = ({ actions }: Forecast): string[] =>
  actions
    .filter(({ kind }) => kind === 'place' || kind === 'terminate')
    .map(({ kind, node, why }) => `${kind} ${node}: ${why}`)

const changed = { env: { V: '2' } }
const update = (strategy: string, more = {}) => ({
  ...changed,
  update: { strategy, min_healthy: '2s', guard: { watch: '0s' }, ...more },
})

test.each<[string, Asked]>([
  ['rolling update', { kind: 'deploy', config: configOf('api', 4, update('rolling')) }],
  ['recreate', { kind: 'deploy', config: configOf('api', 4, update('recreate')) }],
  ['blue-green switch', { kind: 'deploy', config: configOf('api', 4, update('blue_green')) }],
  [
    'canary',
    { kind: 'deploy', config: configOf('api', 4, update('canary', { steps: [50], pause: '5s' })) },
  ],
  ['scale up', { kind: 'scale', service: 'api', concurrency: 7 }],
  ['scale down', { kind: 'scale', service: 'api', concurrency: 2 }],
  ['stop', { kind: 'stop', service: 'api' }],
  ['drain', { kind: 'drain', node: 'w2' }],
])('a %s is foreseen as it is then done', async (_title, command) => {
  const cluster = await startCluster()
  await cluster.run('api', 4)
  await cluster.pass(30_000)
  const { version, instances } = cluster.snapshot()
  const forecast = await foresee(cluster, { commands: [command] })
  expect(cluster.snapshot().instances).toEqual(instances)
  expect(cluster.snapshot().version).toBeGreaterThanOrEqual(version)
  const cursor = cluster.snapshot().lastEventCursor

  await cluster.submit(command)
  await cluster.pass(Math.max(forecast.lastsMs, 10_000) * 6)
  expect(await doneSince(cluster, cursor)).toEqual(told(forecast))
  expect(told(forecast).length).toBeGreaterThan(0)
  const after = forecast.services.find(({ service }) => service === 'api')?.after ?? {}
  const places = Object.entries(after).flatMap(([node, count]) => Array(count).fill(node))
  expect(
    cluster
      .live('api')
      .map(({ node }) => node)
      .toSorted(),
  ).toEqual(places.toSorted())
})

test('where the instances of a dead worker land is what a simulation said', async () => {
  const cluster = await startCluster({ workers: 4 })
  await cluster.run('api', 5)
  await cluster.run('web', 3)
  const forecast = await foresee(cluster, { kill: ['w2'] })
  const cursor = cluster.snapshot().lastEventCursor
  cluster.powerOff('w2')
  await cluster.pass(DETECTED_MS + 10_000)
  expect((await doneSince(cluster, cursor)).map((line) => line.split(',')[0])).toEqual(
    told(forecast).map((line) => line.split(',')[0]),
  )
  for (const { service, after } of forecast.services) {
    const places = Object.entries(after).flatMap(([node, count]) => Array(count).fill(node))
    expect(
      cluster
        .live(service)
        .map(({ node }) => node)
        .toSorted(),
    ).toEqual(places.toSorted())
  }
})

test('a loss of more than half is foreseen as a freeze, and as nothing that moves', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 3)
  const forecast = await foresee(cluster, { kill: ['w1', 'w2'] })
  expect(forecast).toMatchObject({ frozen: true, actions: [] })
  expect(forecast.pending[0]?.why).toContain('frozen')
  expect(cluster.snapshot().frozen).toBe(null)
})

test('a worker that joins takes what waits, and its labels count', async () => {
  const cluster = await startCluster({ workers: 2 })
  const constraints = [{ label: 'zone', in: ['b'] }]
  await cluster.deploy('api', 2, { constraints })
  await cluster.pass(2_000)
  const named = (zone: string) => ({ add: [{ name: 'w9', labels: { zone } }] })
  expect((await foresee(cluster, named('b'))).services).toMatchObject([
    { service: 'api', after: { w9: 2 }, serving: 2 },
  ])
  expect((await foresee(cluster, named('a'))).pending).toMatchObject([{ count: 2 }])
  expect(cluster.snapshot().nodes.map(({ name }) => name)).toEqual(['w1', 'w2'])
})

test('what a command would be refused with a forecast is refused with', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 1)
  const refusal = (whatIf: WhatIf) => expect(foresee(cluster, whatIf)).rejects
  await refusal({ kill: ['w7'] }).toThrow('there is no worker w7')
  await refusal({ add: [{ name: 'w1', labels: {} }] }).toThrow('there is a node w1 already')
  await refusal({ commands: [{ kind: 'stop', service: 'web' }] }).toThrow('no service web')
})

test('more forecasts at a time than four are refused in words', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 2)
  const asked = Array.from({ length: 6 }, () => cluster.ctld().foresee({ kill: ['w1'] }))
  const ends = await cluster.settled(Promise.allSettled(asked))
  const refused = ends.filter(({ status }) => status === 'rejected')
  expect(refused).toHaveLength(2)
  expect(refused[0]).toMatchObject({ reason: { code: 'too_many_requests' } })
  expect((await foresee(cluster, { kill: ['w1'] })).actions).not.toEqual([])
})

test('a lack of a spare place is mailed once, without reminders, and when it is over', async () => {
  const cluster = await startCluster({ keys: 'alerts: { reminder: 10m }' })
  await cluster.run('api', 3, { max_per_node: 1 })
  await cluster.pass(50_000)
  expect(cluster.snapshot().spare.state).toBe('lacking')
  expect(cluster.subjects()).toEqual([])
  await cluster.pass(40_000)
  expect(cluster.subjects()).toEqual(['[tucano] no spare place for service api'])
  expect(cluster.world.mails[0]?.text).toContain('if w1 were lost, 1 would have no place')
  expect(await cluster.history()).toContain('service.no_spare api')
  await cluster.pass(1_500_000)
  expect(cluster.subjects()).toHaveLength(1)

  await cluster.submit({ kind: 'scale', service: 'api', concurrency: 2 })
  await cluster.pass(50_000)
  expect(cluster.subjects()).toHaveLength(1)
  await cluster.pass(60_000)
  expect(cluster.subjects()[1]).toMatch(/recovered .* a spare place for service api/)
  await cluster.pass(900_000)
  expect(cluster.subjects()).toHaveLength(2)
})

test('the warning survives a restart of the controller, and is not told anew', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 3, { max_per_node: 1 })
  await cluster.pass(90_000)
  expect(cluster.subjects()).toHaveLength(1)
  await cluster.restartController()
  await cluster.pass(180_000)
  expect(cluster.subjects()).toHaveLength(1)
  await cluster.submit({ kind: 'remove', service: 'api' })
  await cluster.pass(60_000)
  expect(cluster.subjects()[1]).toContain('a spare place for service api')
})

test('an update, a death that is coped with and a single worker do not warn', async () => {
  const single = await startCluster({ workers: 1 })
  await single.run('api', 3)
  await single.pass(300_000)
  expect([single.snapshot().spare.state, single.subjects()]).toEqual(['single', []])

  const cluster = await startCluster()
  await cluster.run('api', 4)
  await cluster.deploy('api', 4, update('rolling', { min_healthy: '30s' }))
  await cluster.pass(240_000)
  cluster.powerOff('w3')
  await cluster.pass(300_000)
  expect(cluster.subjects()).toEqual(['[tucano] node w3 is dead'])
  expect(cluster.snapshot().spare.state).toBe('ok')
})
