// An instance that sends interim answers without an end.

import { expect, test } from 'vitest'
import { createClient, get } from '#test/ctld/balancer/loop/client.ts'
import { standingRig, turns } from '#test/ctld/balancer/loop/world.ts'
import { route, target } from '#test/ctld/balancer/rig.ts'

test('interim answers come no faster than the client takes them', async () => {
  const { rig } = await standingRig()
  const many = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'.repeat(25_000)
  let sent = 0
  const port = await rig.tcp((socket) => {
    const more = () => {
      while (
        sent < 64e6 &&
        socket.write(many, () => {
          sent += many.length
        })
      ) {
        // The next one.
      }
    }
    socket.once('data', more)
    socket.on('drain', more)
  })
  await rig.publish(route([target('api.1.a', port)]))
  const client = createClient(rig.port)
  client.socket.pause()
  client.send(get('/svc/api/'))
  let before = -1
  while (sent !== before && sent < 64e6) {
    before = sent
    await turns(300)
  }
  expect(sent).toBeGreaterThan(0)
  expect(sent).toBeLessThan(40e6)
}, 30_000)
