// Requests of several clients on one connection to an instance: only where it does no harm, and
// nobody waits for, fails with or reads what belongs to another one.

import { expect, test } from 'vitest'
import type { Route } from '#ctld/ports.ts'
import { route, target } from '#test/ctld/balancer/rig.ts'
import { type Client, createClient, get, post } from './client.ts'
import { answer, chunked, createOrigin, type Origin, ok, type Seen } from './origin.ts'
import { instance, service, standingRig, turns, until } from './world.ts'

const PROVEN = 32
const PATIENCE_MS = 50

/** `serve` answers all but what the clients ask for to prove the instance. */
async function world(serve: (seen: Seen) => void, more: Partial<Route> = {}) {
  const { rig, clock } = await standingRig()
  const origin = await createOrigin(rig, (seen) =>
    seen.path === '/prove' ? ok(seen) : serve(seen),
  )
  await rig.publish(route([target('i1', origin.port)], more))
  const prove = async (clients: Client[], count: number) => {
    for (let at = 0; at < count; at += 1)
      await (clients[at % clients.length] as Client).ask(get('/prove'))
  }
  /** Connected clients of an instance that has proved itself. */
  const clients = async (count: number): Promise<Client[]> => {
    const all = Array.from({ length: count }, () => createClient(rig.port))
    await prove(all, Math.max(count, PROVEN))
    origin.seen.length = 0
    return all
  }
  return { rig, clock, origin, clients, prove }
}

/** All in one turn of the event loop. */
function sendAll(clients: Client[], texts: string[]): void {
  for (const [at, client] of clients.entries()) client.send(texts[at] as string)
}

async function askAll(clients: Client[], texts: string[]): Promise<string[]> {
  sendAll(clients, texts)
  const replies = await Promise.all(clients.map((client) => client.answer()))
  return replies.map(({ status, body }) => `${status} ${body}`)
}

const paths = (count: number) => Array.from({ length: count }, (_, at) => `/${at}`)
const gets = (count: number) => paths(count).map((path) => get(path))
const oks = (count: number) => paths(count).map((path) => `200 ${path}`)
const connectionsOf = (origin: Origin) => new Set(origin.seen.map(({ on }) => on)).size

test('requests of one turn share a connection after 32 quick answers, and not before', async () => {
  const { rig, origin, prove } = await world(ok)
  const clients = Array.from({ length: 6 }, () => createClient(rig.port))
  await prove(clients, PROVEN - 1)
  origin.seen.length = 0
  expect(await askAll(clients, gets(6))).toEqual(oks(6))
  expect(connectionsOf(origin)).toBe(6)
  origin.seen.length = 0
  expect(await askAll(clients, gets(6))).toEqual(oks(6))
  expect(connectionsOf(origin)).toBe(1)
  expect(origin.seen.map(({ together }) => together)).toEqual([6, 6, 6, 6, 6, 6])
})

test('at most 32 requests are on one connection at a time', async () => {
  const { origin, clients } = await world(ok)
  expect(await askAll(await clients(40), gets(40))).toEqual(oks(40))
  const perConnection = Map.groupBy(origin.seen, ({ on }) => on)
  expect([...perConnection.values()].map(({ length }) => length).toSorted()).toEqual([32, 8])
})

test('never where the service switches it off', async () => {
  const { origin, clients } = await world(ok, { pipelining: false })
  expect(await askAll(await clients(5), gets(5))).toEqual(oks(5))
  expect(connectionsOf(origin)).toBe(5)
})

test('never with a body, or where it could not be repeated', async () => {
  const { origin, clients } = await world((seen) => seen.reply(answer(`${seen.path}${seen.body}`)))
  const texts = [
    get('/0'),
    post('/1', 'x'),
    `${get('/2', 'Content-Length: 1\r\n')}y`,
    'DELETE /3 HTTP/1.1\r\nHost: api\r\n\r\n',
    'PUT /4 HTTP/1.1\r\nHost: api\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nz\r\n0\r\n\r\n',
    get('/5'),
  ]
  expect(await askAll(await clients(6), texts)).toEqual(
    ['/0', '/1x', '/2y', '/3', '/4z', '/5'].map((body) => `200 ${body}`),
  )
  const shared = origin.seen.filter(({ together }) => together > 1)
  expect(shared.map(({ path }) => path)).toEqual(['/0', '/5'])
  expect(connectionsOf(origin)).toBe(5)
})

test('a slow answer holds those behind it up for no longer than the patience', async () => {
  const held: Seen[] = []
  const { origin, clock, clients, prove } = await world((seen) => {
    // As any server: what came later on this connection is answered later.
    const isBehind = held.some(({ on }) => on === seen.on)
    if (seen.path === '/slow') held.push(seen)
    else if (!isBehind) ok(seen)
  })
  const all = await clients(4)
  const [slow, ...others] = all as [Client, ...Client[]]
  sendAll(all, [get('/slow'), ...gets(3)])
  await origin.untilSeen(4)
  expect(connectionsOf(origin)).toBe(1)
  clock.advance(PATIENCE_MS - 1)
  await turns()
  expect(origin.seen).toHaveLength(4)
  clock.advance(1)
  const replies = await Promise.all(others.map((client) => client.answer()))
  expect(replies.map(({ body }) => body)).toEqual(paths(3))
  expect(origin.paths()).toEqual(['/slow', ...paths(3), ...paths(3)])
  // Each by itself now, and all of them before the slow one.
  expect(connectionsOf(origin)).toBe(4)
  expect(slow.text()).toBe('')
  clock.advance(500)
  held[0]?.reply(answer('at last'))
  expect((await slow.answer()).body).toBe('at last')
  // The connection that was shared brings nothing more.
  await origin.untilClosed(held[0]?.on ?? 0)

  // Alone for ten seconds, and until it has proved itself again.
  await prove(all, PROVEN)
  origin.seen.length = 0
  expect(await askAll(all, gets(4))).toEqual(oks(4))
  expect(connectionsOf(origin)).toBe(4)
  clock.advance(10_000)
  await prove(all, PROVEN)
  origin.seen.length = 0
  expect(await askAll(all, gets(4))).toEqual(oks(4))
  expect(connectionsOf(origin)).toBe(1)
})

test('a slow one that shares nothing any more has all the time of the service', async () => {
  let held: Seen | undefined
  const { origin, clock, clients } = await world(
    (seen) => {
      if (seen.path === '/slow') held = seen
      else if (seen.on !== held?.on) ok(seen)
    },
    { responseMs: 5_000 },
  )
  const all = (await clients(2)) as [Client, Client]
  sendAll(all, [get('/slow'), get('/1')])
  await origin.untilSeen(2)
  clock.advance(PATIENCE_MS)
  expect((await all[1].answer()).body).toBe('/1')
  clock.advance(4_949)
  await turns()
  expect(all[0].text()).toBe('')
  clock.advance(2)
  expect((await all[0].answer()).status).toBe(504)
})

test.each<[string, (seen: Seen) => void]>([
  [
    'answers only the first and closes',
    (seen) => {
      ok(seen)
      seen.socket.end()
    },
  ],
  [
    'answers the first by closing',
    (seen) => {
      seen.reply(`HTTP/1.1 200 OK\r\n\r\n${seen.path}`)
      seen.socket.end()
    },
  ],
  ['breaks off at once', (seen) => void seen.socket.destroy()],
  ['sends what is no answer', (seen) => seen.reply('0\r\n\r\n')],
  [
    'answers the first and sends what is no answer',
    (seen) => seen.reply(`${answer(seen.path)}0\r\n\r\n`),
  ],
])('an instance that %s of several requests loses none', async (_name, breakOff) => {
  const broken = new Set<number>()
  const { rig, clients, clock } = await world((seen) => {
    if (broken.has(seen.on)) return
    if (seen.together === 1) return ok(seen)
    broken.add(seen.on)
    breakOff(seen)
  })
  for (let round = 0; round < 6; round += 1) {
    expect(await askAll(await clients(16), gets(16))).toEqual(oks(16))
    clock.advance(600_000)
  }
  expect(broken.size).toBeGreaterThanOrEqual(6)
  expect(service(rig)).toMatchObject({ retriesDenied: 0, inFlight: 0 })
  expect(Object.keys(service(rig).statuses)).toEqual(['200'])
})

test('an instance that is silent after the first of several loses none', async () => {
  const { origin, clients, clock } = await world((seen) => {
    const isFirst = origin.seen.find(({ on, together }) => on === seen.on && together > 1) === seen
    if (seen.together === 1 || isFirst) ok(seen)
  })
  const all = await clients(5)
  sendAll(all, gets(5))
  expect((await (all[0] as Client).answer()).body).toBe('/0')
  clock.advance(PATIENCE_MS)
  const replies = await Promise.all(all.slice(1).map((client) => client.answer()))
  expect(replies.map(({ body }) => body)).toEqual(['/1', '/2', '/3', '/4'])
})

test('an answer that goes on and on releases those behind it', async () => {
  let stream: Seen | undefined
  const { origin, clients, clock } = await world((seen) => {
    if (seen.path === '/stream') {
      stream = seen
      seen.reply('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n')
    } else if (seen.on !== stream?.on) ok(seen)
  })
  const all = (await clients(3)) as [Client, Client, Client]
  sendAll(all, [get('/stream'), get('/1'), get('/2')])
  await all[0].until('one')
  expect(connectionsOf(origin)).toBe(1)
  // Each piece comes within the patience, which none of them begins anew.
  for (const piece of ['two', 'six']) {
    clock.advance(PATIENCE_MS - 5)
    stream?.reply(`3\r\n${piece}\r\n`)
    await all[0].until(piece)
  }
  expect([(await all[1].answer()).body, (await all[2].answer()).body]).toEqual(['/1', '/2'])
  stream?.reply('0\r\n\r\n')
  expect((await all[0].answer()).body).toBe('onetwosix')
})

test('an answer that its client does not take releases those behind it', async () => {
  const large = 'x'.repeat(8 * 1024 * 1024)
  const { clients, rig } = await world((seen) => {
    if (seen.path !== '/large') ok(seen)
    else seen.reply(chunked([large]))
  })
  const all = (await clients(3)) as [Client, Client, Client]
  all[0].socket.pause()
  sendAll(all, [get('/large'), get('/1'), get('/2')])
  expect([(await all[1].answer()).body, (await all[2].answer()).body]).toEqual(['/1', '/2'])
  expect(service(rig).inFlight).toBe(1)
  all[0].socket.resume()
  const { body } = await all[0].answer()
  expect(body.length).toBe(large.length)
  expect(body === large).toBe(true)
})

test.each([0, 2, 4])(
  'client %i of five leaves: the others get their own answers',
  async (leaver) => {
    const waiting: Seen[] = []
    const { rig, origin, clients, clock } = await world((seen) => {
      if (seen.together === 1) ok(seen)
      else waiting.push(seen)
    })
    const all = await clients(5)
    sendAll(all, gets(5))
    await origin.untilSeen(5)
    all[leaver]?.leave()
    await until(() => service(rig).inFlight === 4)
    for (const seen of waiting) ok(seen)
    clock.advance(PATIENCE_MS)
    for (const [at, client] of all.entries()) {
      if (at !== leaver) expect((await client.answer()).body).toBe(`/${at}`)
    }
    expect(service(rig)).toMatchObject({ inFlight: 0, endings: { 'client head': 1 } })
  },
)

test('clients that leave while the shared connection is being made do no harm', async () => {
  const { rig, origin, clients } = await world(ok)
  const all = await clients(6)
  for (const socket of origin.sockets) socket.destroy()
  await until(() => instance(rig, 'i1').openConnections === 0)
  sendAll(all, gets(6))
  all[0]?.leave()
  all[3]?.leave()
  for (const at of [1, 2, 4, 5]) expect((await all[at]?.answer())?.body).toBe(`/${at}`)
  await until(() => service(rig).inFlight === 0)
  // Or it was not what this test is about.
  expect(origin.paths()).toEqual(['/1', '/2', '/4', '/5'])
})
