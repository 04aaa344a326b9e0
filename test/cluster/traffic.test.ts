// A service's requests are held or turned away while its instances run on.

import { expect, test } from 'vitest'
import { PAGES_BYTES_MAX } from '#shared/traffic-control.ts'
import { startCluster, type VirtualCluster } from '#test/helpers/virtual-cluster.ts'

const pause = (service: string, forMs: number) => ({ kind: 'pause', service, forMs }) as const
const resume = (service: string) => ({ kind: 'resume', service }) as const
const maintenance = (service: string, page?: string) =>
  ({ kind: 'maintenance', service, ...(page === undefined ? {} : { page }) }) as const

const carried = (cluster: VirtualCluster, name = 'api') => {
  const { traffic, pauseMs, maintenancePage } = cluster.route(name) ?? {}
  return { traffic, pauseMs, maintenancePage }
}

async function trafficEvents(cluster: VirtualCluster): Promise<string[]> {
  const events = await cluster.settled(cluster.ctld().events(0, 10_000))
  return events
    .filter(({ text }) => text === 'traffic changed')
    .map(({ kind, fields }) => `${kind} ${fields.was} ${fields.now} ${fields.why ?? ''}`.trim())
}

test('a paused service keeps its instances in the table; it opens by itself, to the second', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 2)
  expect(carried(cluster)).toMatchObject({ traffic: 'open' })

  await cluster.submit(pause('api', 20_000))
  expect(carried(cluster)).toMatchObject({ traffic: 'paused', pauseMs: 25_000 })
  expect(cluster.isWhole('api')).toBe(true)

  await cluster.pass(19_900)
  expect(carried(cluster).traffic).toBe('paused')
  await cluster.pass(200)
  expect(carried(cluster).traffic).toBe('open')
  expect(cluster.service('api').traffic).toEqual({ state: 'open' })
  expect(await trafficEvents(cluster)).toEqual([
    'service.paused open paused for 20 s',
    'service.resumed paused open its pause ran out',
  ])
})

test('a pause that is renewed ends later; the first requests may wait for all of it', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 1)
  await cluster.submit(pause('api', 20_000))
  await cluster.pass(15_000)
  await cluster.submit(pause('api', 20_000))
  const { pauseMs } = carried(cluster)
  expect(pauseMs).toBeGreaterThanOrEqual(40_000)
  expect(pauseMs).toBeLessThan(40_500)
  await cluster.pass(19_000)
  expect(carried(cluster).traffic).toBe('paused')
  await cluster.pass(1_500)
  expect(carried(cluster).traffic).toBe('open')
})

test('a request never waits longer than ten minutes and a moment, however often a pause is renewed', async () => {
  const cluster = await startCluster({ workers: 1 })
  await cluster.run('api', 1)
  await cluster.submit(pause('api', 600_000))
  await cluster.pass(300_000)
  await cluster.submit(pause('api', 600_000))
  expect(carried(cluster)).toMatchObject({ traffic: 'paused', pauseMs: 605_000 })
})

test('resume opens at once and ends the pause; an open service is left alone', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 1)
  await cluster.submit(resume('api'))
  await cluster.submit(pause('api', 30_000))
  await cluster.submit(resume('api'))
  expect(carried(cluster).traffic).toBe('open')
  await cluster.pass(40_000)
  expect(await trafficEvents(cluster)).toEqual([
    'service.paused open paused for 30 s',
    'service.resumed paused open asked for',
  ])
})

test('maintenance lasts until it is resumed, and gives the balancer its page', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 1)
  await cluster.submit(maintenance('api', '<h1>Back soon</h1>'))
  await cluster.pass(900_000)
  expect(carried(cluster)).toMatchObject({
    traffic: 'maintenance',
    maintenancePage: '<h1>Back soon</h1>',
  })
  await cluster.submit(maintenance('api'))
  expect(carried(cluster)).toMatchObject({ traffic: 'maintenance', maintenancePage: undefined })
  await cluster.submit(resume('api'))
  expect(carried(cluster).traffic).toBe('open')
})

test('a deploy, a scale and a stop leave it paused: that is what a pause is for', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 1)
  await cluster.submit(pause('api', 300_000))
  await cluster.deploy('api', 1, { env: { V: '2' } })
  await cluster.submit({ kind: 'scale', service: 'api', concurrency: 2 })
  await cluster.submit({ kind: 'stop', service: 'api' })
  await cluster.submit({ kind: 'start', service: 'api' })
  await cluster.until(() => cluster.isWhole('api'))
  expect(carried(cluster).traffic).toBe('paused')
  expect(cluster.service('api').traffic.state).toBe('paused')
})

test('a controller that is killed knows the pause and the page, and ends what ran out', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 1)
  await cluster.run('shop', 1)
  await cluster.submit(pause('api', 30_000))
  await cluster.submit(maintenance('shop', '<p>closed</p>'))
  await cluster.restartController(5_000)
  expect(carried(cluster)).toMatchObject({ traffic: 'paused', pauseMs: 35_000 })
  await cluster.restartController(40_000)
  await cluster.until(() => carried(cluster).traffic === 'open', 1_000)
  expect(carried(cluster, 'shop')).toMatchObject({
    traffic: 'maintenance',
    maintenancePage: '<p>closed</p>',
  })
  expect((await trafficEvents(cluster)).at(-1)).toBe(
    'service.resumed paused open its pause ran out',
  )
})

test('what has no requests cannot be paused, what has no pages gets none, with words', async () => {
  const cluster = await startCluster()
  await cluster.deploy('inner', 0, { public: false })
  await cluster.deploy('db', 0, { protocol: 'tcp', public_port: 9_000 })
  const refusals = [
    await cluster.refusal(pause('inner', 1_000)),
    await cluster.refusal(maintenance('inner')),
    await cluster.refusal(maintenance('db', '<p>closed</p>')),
    await cluster.refusal(pause('nope', 1_000)),
  ]
  expect(refusals.map(({ code }) => code)).toEqual([
    'conflict',
    'conflict',
    'conflict',
    'not_found',
  ])
  expect(refusals[0]?.message).toContain('set public: true')
  expect(refusals[2]?.message).toContain('leave the page out')
  expect(await trafficEvents(cluster)).toEqual([])
  await cluster.submit(maintenance('db'))
  expect(carried(cluster, 'db').traffic).toBe('maintenance')
})

test('the pages of all services together are bounded; its own former page does not count', async () => {
  const cluster = await startCluster({ workers: 1 })
  const page = `<${'x'.repeat(PAGES_BYTES_MAX / 2 - 1)}`
  for (const name of ['a', 'b', 'c']) await cluster.deploy(name, 0)
  await cluster.submit(maintenance('a', page))
  await cluster.submit(maintenance('b', page))
  await cluster.submit(maintenance('b', page))
  const refused = await cluster.refusal(maintenance('c', '<'))
  expect(refused.code).toBe('limit_reached')
  expect(refused.message).toContain('1024 KiB together, with this one it were 1025 KiB')
  await cluster.submit(resume('a'))
  await cluster.submit(maintenance('c', '<'))
  expect(carried(cluster, 'c').maintenancePage).toBe('<')
})
