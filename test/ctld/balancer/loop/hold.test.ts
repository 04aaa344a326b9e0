// Requests that wait for a service: because it lost its last instance for a moment, because it is
// paused, under maintenance, or gone.

import { expect, test } from 'vitest'
import type { Route } from '#ctld/ports.ts'
import { type Rig, route, target } from '#test/ctld/balancer/rig.ts'
import { type Client, createClient, get, post } from './client.ts'
import { createOrigin, type Origin, ok, type Seen } from './origin.ts'
import { service, standingRig, turns, until } from './world.ts'

async function world(serve: (seen: Seen) => void = ok) {
  const { rig, clock } = await standingRig()
  const origin = await createOrigin(rig, serve)
  const one = target('i1', origin.port)
  const publish = (targets: (typeof one)[], more: Partial<Route> = {}) =>
    rig.publish(route(targets, more))
  return { rig, clock, origin, one, publish, client: () => createClient(rig.port) }
}

/** So many clients that wait, in their order. */
async function waiters(rig: Rig, count: number): Promise<Client[]> {
  const clients: Client[] = []
  for (let at = 0; at < count; at += 1) {
    const client = createClient(rig.port)
    clients.push(client)
    client.send(at % 2 === 0 ? get(`/${at}`) : post(`/${at}`, 'x'))
    await until(() => service(rig).waiting === at + 1)
  }
  return clients
}

async function expectServed(clients: Client[], origin: Origin): Promise<void> {
  const bodies = await Promise.all(clients.map(async (client) => (await client.answer()).body))
  expect(bodies).toEqual(clients.map((_, at) => `/${at}`))
  expect(origin.seen).toHaveLength(clients.length)
}

test('requests wait while the last instance is away, and are served when one comes', async () => {
  const { rig, clock, origin, one, publish } = await world()
  await publish([one], { holdMs: 5_000 })
  clock.advance(60_000)
  await publish([], { holdMs: 5_000 })
  const clients = await waiters(rig, 4)
  clock.advance(3_000)
  expect(origin.seen).toEqual([])
  await publish([one], { holdMs: 5_000 })
  await expectServed(clients, origin)
  expect(service(rig)).toMatchObject({ queued: 4, waiting: 0, inFlight: 0, endings: {} })
})

test('they wait for the hold of the service since it lost its last one, and are 503 then', async () => {
  const { rig, clock, one, publish, client } = await world()
  await publish([one], { holdMs: 5_000 })
  await publish([], { holdMs: 5_000 })
  clock.advance(2_000)
  const [waiter] = await waiters(rig, 1)
  // A table that brings nothing does not begin the hold anew.
  await publish([], { holdMs: 5_000 })
  clock.advance(2_999)
  await turns()
  expect(waiter?.text()).toBe('')
  clock.advance(1)
  const late = await waiter?.answer()
  expect(late).toMatchObject({ status: 503, body: expect.stringContaining('no instance of') })
  expect(late?.fields('retry-after')).toEqual(['1'])
  expect((await client().ask(get('/'))).status).toBe(503)
  expect(service(rig)).toMatchObject({ queued: 1, endings: { 'balancer queue': 2 } })
})

test('a service that never had an instance is 503 at once', async () => {
  const { publish, client } = await world()
  await publish([], { holdMs: 5_000 })
  expect((await client().ask(get('/'))).status).toBe(503)
})

test('a paused service keeps requests until it is resumed', async () => {
  const { rig, clock, origin, one, publish } = await world()
  await publish([one], { traffic: 'paused', pauseMs: 30_000 })
  const clients = await waiters(rig, 5)
  clock.advance(29_000)
  await turns()
  expect(origin.seen).toEqual([])
  await publish([one])
  await expectServed(clients, origin)
})

test('a request under way is not touched by a pause', async () => {
  const held: Seen[] = []
  const { origin, one, publish, client } = await world((seen) => void held.push(seen))
  await publish([one])
  const before = client()
  before.send(get('/before'))
  await origin.untilSeen(1)
  await publish([one], { traffic: 'paused' })
  ok(held[0] as Seen)
  expect((await before.answer()).body).toBe('/before')
})

test('a pause that nobody ends is over for a request that waited for all of it', async () => {
  const { rig, clock, origin, one, publish, client } = await world()
  await publish([one], { traffic: 'paused', pauseMs: 1_000 })
  const [first] = await waiters(rig, 1)
  clock.advance(400)
  const second = client()
  second.send(get('/second'))
  await until(() => service(rig).waiting === 2)
  clock.advance(599)
  await turns()
  expect(origin.seen).toEqual([])
  clock.advance(1)
  expect((await first?.answer())?.body).toBe('/0')
  await turns()
  expect(origin.paths()).toEqual(['/0'])
  clock.advance(400)
  expect((await second.answer()).body).toBe('/second')
  expect(service(rig)).toMatchObject({ waiting: 0, queued: 2, statuses: { 200: 2 } })
})

test('after a pause that nobody ends all keep their order and the limit of the instance', async () => {
  const held: Seen[] = []
  const { rig, clock, origin, one, publish } = await world((seen) => void held.push(seen))
  const paused = { traffic: 'paused', pauseMs: 1_000, inFlightMax: 1, queueMs: 5_000 } as const
  await publish([one], paused)
  const clients = await waiters(rig, 4)
  clock.advance(1_000)
  for (let at = 0; at < 4; at += 1) {
    await origin.untilSeen(at + 1)
    await turns()
    expect(origin.paths()).toEqual(['/0', '/1', '/2', '/3'].slice(0, at + 1))
    ok(held[at] as Seen)
    expect((await clients[at]?.answer())?.body).toBe(`/${at}`)
  }
})

test('after a pause that nobody ends a full instance is 503 when the queue has lasted', async () => {
  const { rig, clock, origin, one, publish } = await world(() => {})
  await publish([one], { traffic: 'paused', pauseMs: 1_000, inFlightMax: 1, queueMs: 500 })
  const [first, second] = await waiters(rig, 2)
  clock.advance(1_000)
  await origin.untilSeen(1)
  clock.advance(500)
  expect((await second?.answer())?.status).toBe(503)
  expect(first?.text()).toBe('')
})

test('after a pause that nobody ends a service without an instance is 503', async () => {
  const { rig, clock, publish } = await world()
  await publish([], { traffic: 'paused', pauseMs: 1_000 })
  const [waiter] = await waiters(rig, 1)
  clock.advance(1_000)
  expect((await waiter?.answer())?.body).toContain('no instance of')
})

test('a client that leaves while it waits is counted, and nobody asks for it', async () => {
  const { rig, origin, one, publish } = await world()
  await publish([one], { traffic: 'paused' })
  const [stays, leaves] = (await waiters(rig, 2)) as [Client, Client]
  leaves.leave()
  await until(() => service(rig).waiting === 1)
  await publish([one])
  expect((await stays.answer()).body).toBe('/0')
  expect(origin.seen).toHaveLength(1)
  expect(service(rig).endings).toEqual({ 'client queue': 1 })
})

test('a service that is removed while requests wait is 404 for them', async () => {
  const { rig, one, publish } = await world()
  await publish([one], { traffic: 'paused' })
  const clients = await waiters(rig, 3)
  await rig.publish()
  for (const client of clients) expect((await client.answer()).status).toBe(404)
})

test('maintenance answers with its page, and HEAD with the head of it', async () => {
  const { rig, origin, one, publish, client } = await world()
  await publish([one], { traffic: 'paused' })
  const [waiter] = await waiters(rig, 1)
  const page = '<p>Back at 12 – soon</p>'
  await publish([one], { traffic: 'maintenance', maintenancePage: page })
  const asOctets = Buffer.from(page).toString('latin1')
  expect(await waiter?.answer()).toMatchObject({ status: 503, body: asOctets })
  const same = client()
  const whole = await same.ask(get('/'))
  expect(whole).toMatchObject({ status: 503, body: asOctets })
  expect(whole.fields('content-type')).toEqual(['text/html; charset=utf-8'])
  const { head } = await same.ask('HEAD / HTTP/1.1\r\nHost: api\r\n\r\n', 'HEAD')
  const ids = /^X-Request-Id: .*\r\n/m
  expect(head.replace(ids, '')).toBe(whole.head.replace(ids, ''))
  expect(same.text()).toBe('')
  expect(origin.seen).toEqual([])
  await publish([one], { traffic: 'maintenance' })
  expect((await same.ask(get('/'))).fields('content-type')).toEqual(['application/problem+json'])
  expect((await same.ask(post('/', 'x'))).fields('connection')).toEqual(['close'])
})
