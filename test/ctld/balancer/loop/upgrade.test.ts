// A change of protocol: a tunnel only after the instance agreed, and then every octet of both.

import { expect, test } from 'vitest'
import type { Route } from '#ctld/ports.ts'
import { route, target } from '#test/ctld/balancer/rig.ts'
import { createClient, get } from './client.ts'
import { answer, createOrigin, ok, type Seen } from './origin.ts'
import { instance, liveRig, service, standingRig, turns, until } from './world.ts'

const AGREED =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n' +
  'Sec-WebSocket-Accept: x\r\n\r\n'
const wish = (lines = '', path = '/') =>
  get(
    path,
    `Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n${lines}`,
  )

async function world(serve: (seen: Seen) => void, more: Partial<Route> = {}) {
  const rig = await liveRig()
  const origin = await createOrigin(rig, serve)
  await rig.publish(route([target('i1', origin.port)], more))
  return { rig, origin, client: createClient(rig.port) }
}

test('octets that come early on either side belong to the tunnel', async () => {
  let tunnel: Seen | undefined
  const { rig, origin, client } = await world((seen) => {
    if (tunnel !== undefined) return
    tunnel = seen
    seen.socket.removeAllListeners('data').setEncoding('latin1')
    seen.reply(`${AGREED}early from the instance`)
  })
  // Not a request, although it looks like one.
  client.send(`${wish()}${get('/early')}`)
  const { status, fields, head } = await client.answer()
  expect([status, fields('upgrade'), fields('connection')]).toEqual([
    101,
    ['websocket'],
    ['upgrade'],
  ])
  expect(head).toContain('Sec-WebSocket-Accept: x\r\n')
  await client.until('early from the instance')
  expect(tunnel?.fields('upgrade')).toEqual(['websocket'])
  expect(tunnel?.fields('connection')).toEqual(['upgrade'])
  let got = ''
  tunnel?.socket.on('data', (piece: string) => {
    got += piece
  })
  await until(() => got === get('/early'))
  client.send('\0\xff both ways')
  await until(() => got.endsWith('\0\xff both ways'))
  tunnel?.socket.write('\xfe and back', 'latin1')
  await client.until('\xfe and back')
  expect(origin.seen).toHaveLength(1)
  expect(service(rig)).toMatchObject({ inFlight: 1, requests: 0 })
  client.socket.end()
  await until(() => service(rig).requests === 1)
  tunnel?.socket.end()
  await until(() => service(rig).inFlight === 0)
  expect(service(rig)).toMatchObject({ statuses: { 101: 1 }, endings: {} })
  expect(service(rig).bytesIn).toBe(got.length)
  expect(service(rig).bytesOut).toBe('early from the instance\xfe and back'.length)
})

test('a 101 that nobody asked for is 502, and what follows it reaches nobody', async () => {
  const { rig, client } = await world(({ reply }) => reply(`${AGREED}evil`))
  const { status, body } = await client.ask(get('/'))
  expect(status).toBe(502)
  expect(body).not.toContain('evil')
  expect(instance(rig, 'i1')).toMatchObject({ openConnections: 0, responseErrors: 1 })
})

test('an instance that does not agree answers as ever, and keeps its connection', async () => {
  const { rig, origin, client } = await world(({ path, reply }) =>
    reply(path === '/no' ? answer('no', '', '426 Upgrade Required') : answer(path)),
  )
  expect(await client.ask(wish('', '/no'))).toMatchObject({ status: 426, body: 'no' })
  expect((await client.ask(get('/next'))).body).toBe('/next')
  expect(origin.seen.map(({ on }) => on)).toEqual([1, 1])
  expect(service(rig)).toMatchObject({ inFlight: 0, statuses: { 200: 1, 426: 1 } })
})

test.each([
  ['to HTTP/2', get('/', 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n')],
  ['to HTTP/2 among others', get('/', 'Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n')],
  ['with a body', `${wish('Content-Length: 4\r\n')}body`],
  ['of HTTP/1.0', wish('Connection: keep-alive\r\n').replace('1.1', '1.0')],
  ['that Connection does not name', get('/', 'Upgrade: websocket\r\n')],
])('a wish %s is not passed on, and a 101 to it is 502', async (_name, text) => {
  const { rig, origin, client } = await world(ok)
  expect((await client.ask(text)).status).toBe(200)
  expect(origin.seen[0]?.fields('upgrade')).toEqual([])
  const agreeing = await createOrigin(rig, ({ reply }) => reply(AGREED))
  await rig.publish(route([target('i2', agreeing.port)]))
  expect((await createClient(rig.port).ask(text)).status).toBe(502)
})

test('a sticky client is told its instance with the change of protocol', async () => {
  const { client } = await world(({ reply }) => reply(AGREED), { stickyCookie: 'at' })
  expect((await client.ask(wish())).fields('set-cookie')).toEqual([
    expect.stringMatching(/^at=[0-9a-f]{16}; Path=\//),
  ])
})

test('a wish goes to another instance only while it was not sent', async () => {
  const { rig, origin, client } = await world(({ socket }) => void socket.destroy())
  await rig.publish(route([target('i1', origin.port), target('i2', origin.port)]))
  expect((await client.ask(wish())).status).toBe(502)
  // A GET without a body: it is safe to be repeated, as any other.
  expect(origin.seen).toHaveLength(2)
})

test('the end of the loop waits for tunnels, and cuts them when the grace is over', async () => {
  const { rig, clock } = await standingRig()
  const origin = await createOrigin(rig, ({ reply }) => reply(AGREED))
  await rig.publish(route([target('i1', origin.port)]))
  const client = createClient(rig.port)
  await client.ask(wish())
  let isOver = false
  const over = rig.plane.loop.drain(10_000).then(() => {
    isOver = true
  })
  // The moment in which clients come to know.
  clock.advance(500)
  await turns()
  client.send('still here')
  await turns()
  clock.advance(9_999)
  await turns()
  expect(isOver).toBe(false)
  expect(client.socket.readableEnded).toBe(false)
  clock.advance(1)
  await over
  await client.rest()
  await until(() => service(rig).inFlight === 0)
  expect(service(rig).endings).toEqual({ 'balancer tunnel': 1 })
})
