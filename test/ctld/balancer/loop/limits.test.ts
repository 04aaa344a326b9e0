// How much is let in: requests in flight and in the queue, over all loops; connections, heads and
// bodies.

import { expect, onTestFinished, test } from 'vitest'
import { createCountsBuffer, SharedCounts } from '#ctld/balancer/data-plane/loop/shared-counts.ts'
import type { Route } from '#ctld/ports.ts'
import { createPlane, route, target } from '#test/ctld/balancer/rig.ts'
import { type Client, createClient, get, post } from './client.ts'
import { createOrigin, ok, type Seen } from './origin.ts'
import { createStandingClock, liveRig, service, standingRig, turns, until } from './world.ts'

/** An instance that answers when the test says so. */
async function world(more: Partial<Route> = {}) {
  const { rig, clock } = await standingRig()
  const held: Seen[] = []
  const origin = await createOrigin(rig, (seen) => void held.push(seen))
  await rig.publish(route([target('i1', origin.port)], more))
  const client = () => createClient(rig.port)
  const waiting = (count: number) => until(() => service(rig).waiting === count)
  return { rig, clock, origin, held, client, waiting }
}

test('an instance has no more requests than it may; those who wait are served in order', async () => {
  const { rig, clock, origin, held, client, waiting } = await world({ inFlightMax: 2 })
  const clients: Client[] = []
  for (let at = 0; at < 6; at += 1) {
    const one = client()
    clients.push(one)
    one.send(get(`/${at}`))
    await (at < 2 ? origin.untilSeen(at + 1) : waiting(at - 1))
  }
  expect(service(rig)).toMatchObject({ inFlight: 2, waiting: 4 })
  for (let at = 0; at < 6; at += 1) {
    await origin.untilSeen(at + 1)
    expect(origin.seen.length).toBeLessThanOrEqual(at + 2)
    clock.advance(1)
    ok(held[at] as Seen)
    expect((await clients[at]?.answer())?.body).toBe(`/${at}`)
  }
  expect(origin.paths()).toEqual(['/0', '/1', '/2', '/3', '/4', '/5'])
  expect(service(rig)).toMatchObject({ inFlight: 0, waiting: 0, queued: 4, requests: 6 })
  expect(service(rig).queue.count).toBe(4)
})

test('who waits too long is 503, and a place that comes later goes to the next', async () => {
  const { rig, origin, held, clock, client, waiting } = await world({
    inFlightMax: 1,
    queueMs: 500,
  })
  const [first, second, third] = [client(), client(), client()]
  first.send(get('/1'))
  await origin.untilSeen(1)
  second.send(get('/2'))
  await waiting(1)
  clock.advance(400)
  third.send(get('/3'))
  await waiting(2)
  clock.advance(99)
  await turns()
  expect(second.text()).toBe('')
  clock.advance(1)
  const late = await second.answer()
  expect(late).toMatchObject({ status: 503, body: expect.stringContaining('every instance has') })
  expect(late.fields('retry-after')).toEqual(['1'])
  ok(held[0] as Seen)
  await origin.untilSeen(2)
  ok(held[1] as Seen)
  expect((await third.answer()).body).toBe('/3')
  expect(service(rig)).toMatchObject({ queued: 2, endings: { 'balancer queue': 1 } })
})

test('more than may wait are 503 at once; the place of a client that leaves is free', async () => {
  const { rig, origin, held, client, waiting } = await world({ inFlightMax: 1, queueMax: 1 })
  const [first, second, third] = [client(), client(), client()]
  first.send(get('/1'))
  await origin.untilSeen(1)
  second.send(get('/2'))
  await waiting(1)
  expect(await third.ask(get('/3'))).toMatchObject({
    status: 503,
    body: expect.stringContaining('too many requests wait'),
  })
  second.leave()
  await waiting(0)
  third.send(get('/4'))
  await waiting(1)
  ok(held[0] as Seen)
  await origin.untilSeen(2)
  ok(held[1] as Seen)
  expect((await third.answer()).body).toBe('/4')
  expect(service(rig).endings).toEqual({ 'balancer queue': 1, 'client queue': 1 })
})

test('a limit holds over all loops, and one loop wakes those who wait in another', async () => {
  const rig = await liveRig()
  const held: Seen[] = []
  const origin = await createOrigin(rig, (seen) => void held.push(seen))
  const buffer = createCountsBuffer(2)
  const listeners: ((slot: number) => void)[] = []
  const planes = await Promise.all(
    [0, 1].map(async (column) => {
      const bell = {
        ring: (slot: number) => void setImmediate(() => listeners[1 - column]?.(slot)),
        onRing: (listener: (slot: number) => void) => {
          listeners[column] = listener
        },
      }
      const counts = new SharedCounts({ buffer, column, bell })
      const plane = createPlane(0, createStandingClock(), {}, counts)
      onTestFinished(() => plane.close(0))
      await plane.publish([route([target('i1', origin.port)], { inFlightMax: 2 })])
      return plane
    }),
  )
  const clients = Array.from({ length: 8 }, (_, at) => createClient(planes[at % 2]?.port() ?? 0))
  for (const [at, client] of clients.entries()) client.send(get(`/${at}`))
  const waiting = () =>
    planes.reduce((sum, plane) => sum + (plane.counters().services.api?.waiting ?? 0), 0)
  await until(() => waiting() === 6)
  for (let at = 0; at < 8; at += 1) {
    await origin.untilSeen(at + 1)
    await turns()
    // Never more than two that are not answered.
    expect(origin.seen.length - at).toBeLessThanOrEqual(2)
    // Of both loops, so that the other one has to be woken.
    ok(held[at] as Seen)
  }
  const bodies = await Promise.all(clients.map(async (client) => (await client.answer()).body))
  expect(bodies).toEqual(clients.map((_, at) => `/${at}`))
  expect(waiting()).toBe(0)
})

test('an instance that was skipped takes those who wait for one that is full', async () => {
  const { rig, clock } = await standingRig()
  const held: Seen[] = []
  let isBroken = true
  const origin = await createOrigin(rig, (seen) => {
    const isMended = seen.fields('x-tuc-inst')[0] === 'i2' || !isBroken
    if (!isMended) seen.socket.destroy()
    else if (seen.path === '/held') held.push(seen)
    else ok(seen)
  })
  const targets = ['i1', 'i2'].map((name) => target(name, origin.port))
  await rig.publish(route(targets, { inFlightMax: 1, balance: 'round_robin' }))
  const [first, second, third] = [0, 1, 2].map(() => createClient(rig.port)) as [
    Client,
    Client,
    Client,
  ]
  for (let at = 0; at < 12; at += 1) await first.ask(get('/'))
  isBroken = false
  first.send(get('/held'))
  await until(() => held.length === 1)
  second.send(get('/second'))
  await until(() => service(rig).waiting === 1)
  clock.advance(1_000)
  third.send(get('/third'))
  expect((await second.answer()).body).toBe('/second')
  expect((await third.answer()).body).toBe('/third')
  expect(origin.paths().slice(-2)).toEqual(['/second', '/third'])
  expect(first.text()).toBe('')
})

const large = 'x'.repeat(100)
const inChunks = (body: string) =>
  'POST / HTTP/1.1\r\nHost: api\r\nTransfer-Encoding: chunked\r\n\r\n' +
  `${(50).toString(16)}\r\n${body.slice(0, 50)}\r\n${(body.length - 50).toString(16)}\r\n` +
  `${body.slice(50)}\r\n0\r\n\r\n`

test('a body as large as it may be passes, by its length and in chunks', async () => {
  const { origin, held, client } = await world({ bodyMax: 100 })
  for (const text of [post('/', large), inChunks(large)]) {
    const one = client()
    one.send(text)
    await origin.untilSeen(held.length + 1)
    ok(held.at(-1) as Seen)
    expect((await one.answer()).status).toBe(200)
  }
  expect(held.map(({ body }) => body)).toEqual([large, large])
})

test.each([
  ['by its length', post('/', `${large}x`)],
  ['by its length, which it waits to send', post('/', '', '').replace(': 0', ': 101')],
  ['in chunks', inChunks(`${large}x`)],
])('a body that is larger %s is 413, and the connection ends', async (_name, text) => {
  const { rig, origin, client } = await world({ bodyMax: 100 })
  const one = client()
  const { status, fields } = await one.ask(text)
  expect([status, fields('connection')]).toEqual([413, ['close']])
  await one.rest()
  expect(origin.seen).toEqual([])
  expect(service(rig)).toMatchObject({ inFlight: 0, statuses: { 413: 1 } })
})

test('connections of one address, and of all, are limited; one that ends makes room', async () => {
  for (const settings of [{ connectionsPerIp: 2 }, { connectionsMax: 2 }]) {
    const rig = await liveRig(settings)
    const origin = await createOrigin(rig)
    await rig.publish(route([target('i1', origin.port)]))
    const [first, second] = [createClient(rig.port), createClient(rig.port)]
    await first.ask(get('/'))
    await second.ask(get('/'))
    expect(await createClient(rig.port).rest()).toBe('')
    expect(rig.plane.counters().connections).toMatchObject({ accepted: 2, open: 2, refused: 1 })
    first.leave()
    await until(() => rig.plane.counters().connections.open === 1)
    expect((await createClient(rig.port).ask(get('/again'))).body).toBe('/again')
  }
})

test.each([
  ['a line', 414, `GET /${'x'.repeat(9_000)} HTTP/1.1\r\nHost: api\r\n\r\n`],
  ['a field', 431, get('/', `X: ${'x'.repeat(17_000)}\r\n`)],
  ['101 fields', 431, get('/', 'X: y\r\n'.repeat(100))],
])('%s too many is %i, and the connection ends', async (_name, wanted, text) => {
  const { rig, origin, client } = await world()
  const one = client()
  const { status, fields } = await one.ask(text)
  expect([status, fields('connection')]).toEqual([wanted, ['close']])
  await one.rest()
  expect(origin.seen).toEqual([])
  expect(rig.plane.counters().rejected).toEqual({ [wanted]: 1 })
})

test('a head that drips is 408 after five seconds, however steadily it comes', async () => {
  const { rig, clock, client } = await world()
  const one = client()
  const { connections } = rig.plane.counters()
  expect(connections.open).toBe(0)
  const drip = async (text: string) => {
    one.send(text)
    await turns()
  }
  await drip('GET / HT')
  for (let at = 0; at < 9; at += 1) {
    await drip(`${at === 0 ? 'TP/1.1\r\nHost: api\r\n' : ''}X-${at}: y\r\n`)
    clock.advance(500)
    expect(one.text()).toBe('')
  }
  clock.advance(499)
  await turns()
  expect(one.text()).toBe('')
  clock.advance(1)
  const { status, fields } = await one.answer()
  expect([status, fields('connection')]).toEqual([408, ['close']])
  await one.rest()
  expect(rig.plane.counters().rejected).toEqual({ 408: 1 })
})

test('the head of the second request has five seconds of its own', async () => {
  const { clock, held, origin, client } = await world()
  const one = client()
  one.send(`${get('/1')}GET /2`)
  await origin.untilSeen(1)
  clock.advance(4_000)
  ok(held[0] as Seen)
  await one.answer()
  clock.advance(4_999)
  one.send(' HTTP/1.1\r\nHost: api\r\n\r\n')
  await origin.untilSeen(2)
  ok(held[1] as Seen)
  expect((await one.answer()).body).toBe('/2')
})

test('a client that asks nothing for a minute is told good-bye without an answer', async () => {
  const { rig, clock, client } = await world()
  const [fresh, silent] = [client(), client()]
  await until(() => rig.plane.counters().connections.open === 2)
  clock.advance(59_999)
  await fresh.ask(get('/', '', 'nobody'))
  clock.advance(1)
  expect(await silent.rest()).toBe('')
  expect(fresh.socket.readableEnded).toBe(false)
})

test('a body that stands still is 408, one that goes on is not', async () => {
  const { origin, clock, client, held } = await world({ idleMs: 1_000 })
  const one = client()
  one.send('POST / HTTP/1.1\r\nHost: api\r\nContent-Length: 6\r\n\r\n')
  for (const piece of 'abcde') {
    await turns()
    clock.advance(900)
    one.send(piece)
  }
  await turns()
  clock.advance(999)
  await turns()
  expect(one.text()).toBe('')
  clock.advance(1)
  expect((await one.answer()).status).toBe(408)
  await origin.untilClosed(1)
  expect(held).toEqual([])
})
