// Who stands in front of the queue must not keep those behind it from an instance that has room.

import { expect, test } from 'vitest'
import { createClient, get } from '#test/ctld/balancer/loop/client.ts'
import { createOrigin, ok } from '#test/ctld/balancer/loop/origin.ts'
import { service, standingRig, until } from '#test/ctld/balancer/loop/world.ts'
import { route, target } from '#test/ctld/balancer/rig.ts'

test('a request that lost its connection waits for no busy instance while its own has room', async () => {
  const { rig } = await standingRig()
  // The second request on a connection finds it closed.
  const one = await createOrigin(rig, (seen) => {
    if (one.seen.filter(({ on }) => on === seen.on).length === 2) seen.socket.destroy()
    else ok(seen)
  })
  const busy = await createOrigin(rig, () => {})
  const targets = [target('api.1.a', one.port), target('api.2.a', busy.port)]
  await rig.publish(route(targets, { inFlightMax: 1, balance: 'round_robin' }))
  const client = createClient(rig.port)
  await client.ask(get('/svc/api/first'))
  createClient(rig.port).send(get('/svc/api/long'))
  await busy.untilSeen(1)
  client.send(get('/svc/api/again'))
  await one.untilClosed(1)
  await until(() => service(rig).inFlight === 1 || one.seen.length > 2)
  const other = await createClient(rig.port).ask(get('/svc/api/other'))
  expect(other.body).toBe('/svc/api/other')
  expect((await client.answer()).body).toBe('/svc/api/again')
}, 5_000)
