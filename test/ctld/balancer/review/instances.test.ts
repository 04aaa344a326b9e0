// Instances that stand still at the wrong moment, and heads that they must get.

import { expect, test } from 'vitest'
import { createClient } from '#test/ctld/balancer/loop/client.ts'
import { createOrigin } from '#test/ctld/balancer/loop/origin.ts'
import { service, standingRig, turns, until } from '#test/ctld/balancer/loop/world.ts'
import { raw, route, target } from '#test/ctld/balancer/rig.ts'

test('an answer that stands still after its request was slow to leave is cut', async () => {
  const { rig, clock } = await standingRig()
  const size = 20e6
  let taken = 0
  const port = await rig.tcp((socket) => {
    socket.once('data', () => {
      socket.pause()
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf')
    })
    socket.on('data', (piece) => {
      taken += piece.length
    })
    resume = () => socket.resume()
  })
  let resume = () => {}
  await rig.publish(route([target('api.1.a', port)], { idleMs: 30_000 }))
  const client = createClient(rig.port)
  client.send(`POST /svc/api/ HTTP/1.1\r\nHost: api\r\nContent-Length: ${size}\r\n\r\n`)
  await client.until('half')
  client.send('x'.repeat(size))
  await turns(50)
  resume()
  await until(() => taken >= size)
  await turns()
  expect(service(rig).inFlight).toBe(1)
  clock.advance(31_000)
  await client.rest()
  expect(service(rig).inFlight).toBe(0)
})

test('a program gets a Host also where only the target named it, in HTTP/1.0', async () => {
  const { rig } = await standingRig()
  const origin = await createOrigin(rig)
  await rig.publish(route([target('api.1.a', origin.port)]))
  await raw(rig.port, 'GET http://api/svc/x HTTP/1.0\r\n\r\n')
  expect(origin.seen.map(({ fields }) => fields('Host'))).toEqual([['api']])
})
