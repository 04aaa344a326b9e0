// Services with volumes in a whole cluster: their instances come back to their data, whatever
// happens to them.

import { expect, test } from 'vitest'
import { startCluster, type VirtualCluster } from '#test/helpers/virtual-cluster.ts'

const db = { volumes: ['data'] }

const startsOn = (cluster: VirtualCluster, node: string) =>
  cluster.world.agents.get(node)?.machine.starts() ?? []

test('the agent is told which folders an instance gets, and no two share one', async () => {
  const cluster = await startCluster()
  await cluster.run('db', 3, { volumes: ['data', 'logs'] })
  expect(
    cluster
      .live('db')
      .map(({ node }) => node)
      .sort(),
  ).toEqual(['w1', 'w2', 'w3'])
  for (const node of ['w1', 'w2', 'w3']) {
    expect(startsOn(cluster, node).map(({ volumes }) => volumes)).toEqual([
      { service: 'db', names: ['data', 'logs'] },
    ])
  }
})

test.each([
  ['a restart', { kind: 'restart', service: 'db' }],
  ['another environment', { kind: 'deploy', env: { A: '1' } }],
] as const)('%s comes to where the data is, after the old one has ended', async (_, change) => {
  const cluster = await startCluster()
  await cluster.run('other', 1)
  await cluster.run('db', 1, db)
  const [before] = cluster.live('db')
  if (change.kind === 'restart') await cluster.submit(change)
  else await cluster.deploy('db', 1, { ...db, env: change.env })
  let most = 0
  await cluster.until(() => {
    const programs = [...cluster.world.agents.values()].flatMap(({ machine }) => machine.running())
    most = Math.max(most, programs.filter(({ id }) => isOf(cluster, id)).length)
    return cluster.isWhole('db') && cluster.live('db')[0]?.id !== before?.id
  }, 300_000)
  expect(cluster.live('db').map(({ node }) => node)).toEqual([before?.node])
  expect(most).toBe(1)
})

test('a stop and a start come to where the data is', async () => {
  const cluster = await startCluster()
  await cluster.run('db', 1, db)
  const [before] = cluster.live('db')
  await cluster.submit({ kind: 'stop', service: 'db' })
  await cluster.until(() => cluster.live('db').length === 0)
  await cluster.run('other', 3)
  await cluster.submit({ kind: 'start', service: 'db' })
  await cluster.until(() => cluster.isWhole('db'))
  expect(cluster.live('db').map(({ node }) => node)).toEqual([before?.node])
})

test('of a dead worker it waits for that one, and says so', async () => {
  const cluster = await startCluster()
  await cluster.run('db', 1, db)
  const home = cluster.live('db')[0]?.node ?? ''
  cluster.powerOff(home)
  await cluster.pass(120_000)
  expect(cluster.snapshot().pending).toMatchObject([
    { service: 'db', why: expect.stringContaining(`its worker ${home} is dead, and it is sticky`) },
  ])
  cluster.startAgent(home)
  await cluster.until(() => cluster.isWhole('db'), 120_000)
  expect(cluster.live('db').map(({ node }) => node)).toEqual([home])
})

function isOf(cluster: VirtualCluster, id: string): boolean {
  return cluster.snapshot().instances.some((one) => one.id === id && one.service === 'db')
}
