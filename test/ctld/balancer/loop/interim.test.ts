// What comes before the answer, and answers that come before the request is whole.

import { expect, test } from 'vitest'
import type { Route } from '#ctld/ports.ts'
import { deadPort, route, target } from '#test/ctld/balancer/rig.ts'
import { createClient, get } from './client.ts'
import { answer, createOrigin, ok, type Seen } from './origin.ts'
import { instance, liveRig, service, standingRig, turns, until } from './world.ts'

const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n'

async function world(serve: (seen: Seen) => void = ok, more: Partial<Route> = {}) {
  const rig = await liveRig()
  const origin = await createOrigin(rig, serve)
  await rig.publish(route([target('i1', origin.port)], more))
  return { rig, origin, client: createClient(rig.port) }
}

const expecting = (lines: string, minor = 1) =>
  `POST / HTTP/1.${minor}\r\nHost: api\r\nExpect: 100-continue\r\n${lines}\r\n`

test.each([
  ['a length', 'Content-Length: 4\r\n', 'body'],
  ['chunks', 'Transfer-Encoding: chunked\r\n', '4\r\nbody\r\n0\r\n\r\n'],
])('a client that waits with a body of %s is told to go on, once', async (_name, lines, body) => {
  const { origin, client } = await world(({ reply, body: got }) =>
    // An instance that says it too is not heard.
    reply(CONTINUE + answer(got)),
  )
  client.send(expecting(lines))
  await client.until(CONTINUE)
  expect(origin.seen).toEqual([])
  client.send(body)
  expect((await client.answer()).status).toBe(100)
  expect(await client.answer()).toMatchObject({ status: 200, body: 'body' })
  expect(origin.seen[0]?.fields('expect')).toEqual([])
})

test('a client is told to go on only when an instance is there', async () => {
  const { rig, clock } = await standingRig()
  const origin = await createOrigin(rig)
  await rig.publish(route([target('i1', origin.port)], { traffic: 'paused' }))
  const client = createClient(rig.port)
  client.send(expecting('Content-Length: 4\r\n'))
  await until(() => service(rig).waiting === 1)
  clock.advance(1_000)
  await turns()
  expect(client.text()).toBe('')
  await rig.publish(route([target('dead', await deadPort()), target('i1', origin.port)]))
  await client.until(CONTINUE)
  client.send('body')
  await client.answer()
  expect((await client.answer()).status).toBe(200)
  expect(origin.seen[0]?.body).toBe('body')
})

test('a client that waits with a body is told of 503 and 413 before it sends it', async () => {
  const { rig } = await world(ok, { bodyMax: 3 })
  const large = createClient(rig.port)
  expect((await large.ask(expecting('Content-Length: 4\r\n'))).status).toBe(413)
  await rig.publish(route([]))
  const none = createClient(rig.port)
  const { status, fields } = await none.ask(expecting('Content-Length: 4\r\n'))
  expect([status, fields('connection')]).toEqual([503, ['close']])
  const other = createClient(rig.port)
  expect((await other.ask(get('/', 'Expect: rain\r\n'))).status).toBe(417)
})

test('an HTTP/1.0 client is never told to go on', async () => {
  const { client } = await world()
  client.send(`${expecting('Content-Length: 4\r\n', 0)}body`)
  expect((await client.answer()).status).toBe(200)
})

test('early hints pass to a client of HTTP/1.1, and not to one of 1.0', async () => {
  const hints = 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n'
  const { rig, client } = await world(({ reply }) => reply(hints + hints + answer('all')))
  client.send(get('/'))
  const early = await client.answer()
  expect([early.status, early.fields('link')]).toEqual([103, ['</a.css>; rel=preload']])
  expect((await client.answer()).status).toBe(103)
  expect(await client.answer()).toMatchObject({ status: 200, body: 'all' })
  const old = createClient(rig.port)
  expect(await old.ask(get('/').replace('1.1', '1.0'))).toMatchObject({ status: 200, body: 'all' })
})

test('hints come before the answer is there', async () => {
  let seen: Seen | undefined
  const { client } = await world((one) => {
    seen = one
    one.reply('HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n')
  })
  client.send(get('/'))
  expect((await client.answer()).status).toBe(103)
  seen?.reply(answer('late'))
  expect((await client.answer()).body).toBe('late')
})

test('an answer before the body is whole reaches the client, whose connection then ends', async () => {
  const rig = await liveRig()
  let closed = false
  const port = await rig.tcp((socket) => {
    socket.once('data', () => socket.write(answer('no', '', '403 Forbidden')))
    socket.once('close', () => {
      closed = true
    })
  })
  await rig.publish(route([target('i1', port)]))
  const client = createClient(rig.port)
  const head = 'POST / HTTP/1.1\r\nHost: api\r\nContent-Length: 1000000\r\n\r\n'
  const early = await client.ask(`${head}${'x'.repeat(1_000)}`)
  expect([early.status, early.body, early.fields('connection')]).toEqual([403, 'no', ['close']])
  // It may go on sending for a moment; none of that is a request.
  client.send(`${'x'.repeat(1_000)}${get('/smuggled')}`)
  expect(await client.rest()).toBe('')
  await until(() => closed)
  await until(() => service(rig).inFlight === 0)
  expect(instance(rig, 'i1')).toMatchObject({ requests: 1, idleConnections: 0 })
})

test('a body that turns out to be broken reaches no instance whole', async () => {
  const { rig, origin, client } = await world()
  client.send('POST / HTTP/1.1\r\nHost: api\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n')
  await origin.until(() => origin.sockets.length === 1)
  client.send('zz\r\n')
  const { status, fields } = await client.answer()
  expect([status, fields('connection')]).toEqual([400, ['close']])
  await origin.untilClosed(1)
  expect(origin.seen).toEqual([])
  expect(service(rig)).toMatchObject({ inFlight: 0, endings: { 'client body': 1 } })
})

test('a request for nobody is answered before its body has come', async () => {
  const { client } = await world()
  client.send('POST / HTTP/1.1\r\nHost: nobody\r\nContent-Length: 100000\r\n\r\nsome')
  const { status, fields } = await client.answer()
  expect([status, fields('connection')]).toEqual([404, ['close']])
  client.send('x'.repeat(50_000))
  await client.rest()
  expect(client.error()).toBe('')
})

test('requests that a client sends without waiting are answered in order', async () => {
  const held: Seen[] = []
  const { rig, origin, client } = await world((seen) => void held.push(seen))
  client.send(get('/1') + get('/2', '', 'nobody') + get('/3'))
  await origin.untilSeen(1)
  await turns()
  // One at a time: the second is not looked at before the first is answered.
  expect(held).toHaveLength(1)
  ok(held[0] as Seen)
  expect((await client.answer()).body).toBe('/1')
  expect((await client.answer()).status).toBe(404)
  await origin.untilSeen(2)
  ok(held[1] as Seen)
  expect((await client.answer()).body).toBe('/3')
  expect(rig.plane.counters().rejected).toEqual({ 404: 1 })
})
