// The race for an idle connection: what the instance closed, or wrote on, while nobody asked.

import { expect, test } from 'vitest'
import type { Route } from '#ctld/ports.ts'
import { deadPort, route, target } from '#test/ctld/balancer/rig.ts'
import { createClient, get, post } from './client.ts'
import { answer, chunked, createOrigin, ok, type Seen } from './origin.ts'
import { instance, liveRig, service, standingRig, turns, until } from './world.ts'

const idle = 'idleConnections'

async function world(serve: (seen: Seen) => void = ok, more: Partial<Route> = {}) {
  const { rig, clock } = await standingRig()
  const origin = await createOrigin(rig, serve)
  await rig.publish(route([target('i1', origin.port)], more))
  return { rig, clock, origin, client: createClient(rig.port) }
}

test('a connection is used again, the one that was used last first', async () => {
  const { rig, origin, client } = await world()
  const other = createClient(rig.port)
  client.send(get('/a'))
  other.send(get('/b'))
  await Promise.all([client.answer(), other.answer()])
  expect(instance(rig, 'i1')).toMatchObject({ [idle]: 2, reuses: 0 })
  const last = origin.seen.at(-1)?.on
  await client.ask(get('/c'))
  await client.ask(get('/d'))
  expect(origin.seen.slice(2).map(({ on }) => on)).toEqual([last, last])
  expect(instance(rig, 'i1')).toMatchObject({ [idle]: 2, reuses: 2, connectAttempts: 2 })
})

test.each<[string, (seen: Seen) => void]>([
  ['ends it', ({ socket }) => void socket.end()],
  ['resets it', ({ socket }) => void socket.resetAndDestroy()],
  ['writes on it', ({ reply }) => reply('HTTP/1.1 408 Request Timeout\r\n\r\n')],
])('an idle connection is dropped when the instance %s', async (_name, strange) => {
  const { rig, origin, client } = await world()
  await client.ask(get('/a'))
  strange(origin.seen[0] as Seen)
  await until(() => instance(rig, 'i1').idleConnections === 0)
  expect((await client.ask(post('/b', 'x'))).body).toBe('/b')
  expect(origin.seen.map(({ on }) => on)).toEqual([1, 2])
  expect(instance(rig, 'i1')).toMatchObject({ reuseDeaths: 0, responseErrors: 0 })
})

test('a GET on a connection that dies before a byte is sent anew, on a fresh one', async () => {
  const { rig, origin, client } = await world((seen) => {
    // The program closes its idle connections at the moment in which the next request comes.
    if (seen.path === '/b' && seen.on <= 2) for (const { socket } of origin.seen) socket.destroy()
    else ok(seen)
  })
  const other = createClient(rig.port)
  client.send(get('/a'))
  other.send(get('/a'))
  await Promise.all([client.answer(), other.answer()])
  expect((await client.ask(get('/b'))).body).toBe('/b')
  expect(origin.seen.filter(({ path }) => path === '/b').map(({ on }) => on)).toEqual([2, 3])
  expect(instance(rig, 'i1')).toMatchObject({ reuseDeaths: 1, responseErrors: 0, ejections: 0 })
  expect(service(rig).retries).toBe(1)
})

test('another instance is preferred to a fresh connection of the same', async () => {
  const { rig } = await standingRig()
  const dying = await createOrigin(rig, (seen) =>
    seen.path === '/b' ? void seen.socket.destroy() : ok(seen),
  )
  const other = await createOrigin(rig, (seen) => seen.reply(answer('other')))
  await rig.publish(route([target('i1', dying.port)]))
  const client = createClient(rig.port)
  await client.ask(get('/a'))
  await rig.publish(route([target('i1', dying.port), target('i2', other.port)]))
  const bodies = [await client.ask(get('/b')), await client.ask(get('/b'))].map(({ body }) => body)
  expect(bodies).toEqual(['other', 'other'])
  expect(dying.paths()).toEqual(['/a', '/b'])
})

test('a POST on a connection that dies is not sent anew: 502, and it is counted', async () => {
  const { rig, origin, client } = await world((seen) =>
    seen.method === 'POST' ? void seen.socket.destroy() : ok(seen),
  )
  await client.ask(get('/a'))
  expect((await client.ask(post('/b', 'once'))).status).toBe(502)
  expect(origin.paths()).toEqual(['/a', '/b'])
  expect(instance(rig, 'i1')).toMatchObject({ reuses: 1, reuseDeaths: 1, responseErrors: 0 })
  expect(service(rig)).toMatchObject({ retries: 0, endings: { 'instance head': 1 } })
})

test('a POST takes no connection that has been idle for more than a second', async () => {
  const { origin, client, clock } = await world()
  await client.ask(get('/a'))
  clock.advance(1_000)
  await client.ask(post('/b', 'x'))
  clock.advance(1_001)
  await client.ask(post('/c', 'x'))
  clock.advance(1_500)
  await client.ask(get('/d'))
  expect(origin.seen.map(({ on }) => on)).toEqual([1, 1, 2, 2])
})

test.each([
  ['nothing', '', 4_000],
  ['timeout=7', 'Keep-Alive: timeout=7, max=100\r\n', 6_000],
  ['timeout=1', 'Keep-Alive: timeout=1\r\n', 0],
  ['an hour', 'Keep-Alive: timeout=3600\r\n', 60_000],
])('an instance that says %s of its idle time is taken at its word', async (_n, line, ms) => {
  const { rig, clock, client, origin } = await world((seen) => seen.reply(answer('', line)))
  await client.ask(get('/a'))
  expect(instance(rig, 'i1').idleConnections).toBe(ms === 0 ? 0 : 1)
  if (ms > 0) {
    clock.advance(ms - 1)
    expect(instance(rig, 'i1').idleConnections).toBe(1)
    clock.advance(1)
  }
  expect(instance(rig, 'i1')).toMatchObject({ idleConnections: 0, openConnections: 0 })
  await origin.untilClosed(1)
})

test.each([
  ['a body that ends with the connection', 'HTTP/1.1 200 OK\r\n\r\nall', true],
  ['Connection: close', answer('all', 'Connection: close\r\n'), false],
  ['HTTP/1.0', 'HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nall', false],
  ['octets after it', `${answer('all')}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`, false],
  ['a second end of its chunks', `${chunked(['all'])}0\r\n\r\n`, false],
])('after an answer with %s its connection is not used again', async (_name, text, isEnd) => {
  const { rig, origin, client } = await world((seen) => {
    seen.reply(text)
    if (isEnd) seen.socket.end()
  })
  for (let round = 1; round <= 3; round += 1) {
    expect((await client.ask(get('/'))).body).toBe('all')
    await origin.untilClosed(round)
  }
  expect(origin.seen.map(({ on }) => on)).toEqual([1, 2, 3])
  expect(instance(rig, 'i1')).toMatchObject({ openConnections: 0, reuses: 0 })
})

test('HTTP/1.0 that keeps its connection is used again', async () => {
  const { origin, client } = await world((seen) =>
    seen.reply('HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nall'),
  )
  await client.ask(get('/'))
  await client.ask(get('/'))
  expect(origin.seen.map(({ on }) => on)).toEqual([1, 1])
})

test.each([
  ['more than its length', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nall', 'al'],
  ['a chunk longer than its size', `${chunked(['all']).replace('\r\n3\r\n', '\r\n2\r\n')}`, ''],
])('%s never reaches the next client', async (_name, text, body) => {
  const { rig, origin, client } = await world((seen) =>
    seen.on === 1 ? seen.reply(text) : ok(seen),
  )
  client.send(get('/a'))
  if (body === '') expect(await client.rest()).not.toContain('0\r\n\r\n')
  else expect((await client.answer()).body).toBe(body)
  await origin.untilClosed(1)
  const other = createClient(rig.port)
  expect((await other.ask(get('/b'))).body).toBe('/b')
  expect(other.text()).toBe('')
})

test('a connection to where the instance was before is not kept', async () => {
  const held: Seen[] = []
  const { rig, origin, client } = await world((seen) => void held.push(seen))
  const now = await createOrigin(rig, (seen) => seen.reply(answer('here')))
  client.send(get('/a'))
  await origin.untilSeen(1)
  await rig.publish(route([target('i1', now.port)]))
  held[0]?.reply(answer('there'))
  expect((await client.answer()).body).toBe('there')
  expect((await client.ask(get('/b'))).body).toBe('here')
  await origin.untilClosed(1)
})

test('three tries of what was sent, sixteen of what was not', async () => {
  const rig = await liveRig()
  const breaking = await createOrigin(rig, ({ socket }) => void socket.destroy())
  const names = Array.from({ length: 20 }, (_, at) => `i${String(at).padStart(2, '0')}`)
  await rig.publish(route(names.map((name) => target(name, breaking.port))))
  expect((await createClient(rig.port).ask(get('/'))).status).toBe(502)
  expect(breaking.seen).toHaveLength(3)
  const dead = await deadPort()
  await rig.publish(route(names.map((name) => target(`d${name}`, dead))))
  expect((await createClient(rig.port).ask(get('/'))).status).toBe(503)
  const { instances } = service(rig)
  const inTable = Object.values(instances).filter((one) => one.inTable === 1)
  const attempts = inTable.map(({ connectAttempts }) => connectAttempts)
  expect(attempts.reduce((sum, count) => sum + count, 0)).toBe(16)
  expect(Math.max(...attempts)).toBe(1)
})

test('retries are a fifth of the requests, and ten in ten seconds at least', async () => {
  const { rig, clock } = await standingRig()
  const breaking = await createOrigin(rig, ({ socket }) => void socket.destroy())
  const targets = ['i1', 'i2', 'i3'].map((name) => target(name, breaking.port))
  await rig.publish(route(targets, { balance: 'round_robin' }))
  const client = createClient(rig.port)
  for (let round = 0; round < 8; round += 1) await client.ask(get('/'))
  // Two of each of the first five, then none.
  expect(service(rig)).toMatchObject({ retries: 10, retriesDenied: 3, statuses: { 502: 8 } })
  expect(breaking.seen).toHaveLength(18)
  clock.advance(11_000)
  await client.ask(get('/'))
  expect(service(rig)).toMatchObject({ retries: 12, retriesDenied: 3 })
  await turns()
})
