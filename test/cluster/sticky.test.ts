// What is never moved, seen from outside on a whole cluster: it waits for its worker, and somebody
// is told.

import { expect, test } from 'vitest'
import { DETECTED_MS, MAILED_MS, startCluster } from '#test/helpers/virtual-cluster.ts'

test('its worker dies: it is not placed elsewhere, somebody is told, and it is adopted again', async () => {
  const cluster = await startCluster()
  await cluster.run('db', 3, { sticky: true })
  await cluster.run('api', 3)
  const before = cluster.live('db').map(({ id }) => id)
  cluster.cutOff('w2')
  await cluster.pass(MAILED_MS)
  expect(cluster.places('db')).toBe('w1,w3')
  expect(cluster.places('api').split(',')).toHaveLength(3)
  const waits = cluster.snapshot().pending.find(({ service }) => service === 'db')
  expect(waits?.why).toBe('its worker w2 is dead, and it is sticky: it waits for that one')
  const incident = cluster.snapshot().incidents.find(({ kind }) => kind === 'service_failed')
  expect(incident?.story.join()).toContain('db: its instance on w2 waits for that worker')
  cluster.world.network.heal()
  await cluster.until(() => cluster.isWhole('db'))
  expect(cluster.live('db').map(({ id }) => id)).toEqual(before)
})

test('stopped and started again it is where its data is, not where the ring has come to', async () => {
  const cluster = await startCluster()
  await cluster.run('db', 1, { sticky: true })
  expect([cluster.places('db'), cluster.service('db').homes]).toEqual(['w1', ['w1']])
  await cluster.submit({ kind: 'stop', service: 'db' })
  await cluster.until(() => cluster.live('db').length === 0)
  await cluster.restartController()
  await cluster.until(() => cluster.snapshot().alive_nodes.length === 3)
  const told = await cluster.settled(cluster.ctld().explain('db'))
  expect(told).toMatchObject({ next: 'w1', rule: expect.stringContaining('goes back to w1') })
  await cluster.submit({ kind: 'start', service: 'db' })
  await cluster.until(() => cluster.isWhole('db'))
  expect(cluster.places('db')).toBe('w1')
})

test('the size of a worker outlives a restart of the controller, and its death', async () => {
  const cluster = await startCluster({ workers: 2 })
  await cluster.deploy('big', 1, { limits: { memory: '1023GiB' } })
  await cluster.until(() => cluster.snapshot().pending.length > 0)
  expect(cluster.snapshot().pending[0]?.why).toContain('too little memory is free')
  cluster.powerOff('w1')
  await cluster.pass(DETECTED_MS)
  await cluster.restartController()
  const { nodes } = await cluster.settled(cluster.ctld().explain('big'))
  expect(nodes[0]?.why_not.join()).toMatch(/GiB memory free, it needs 1023GiB/)
})
