// Hostile and slow clients against one loop: what they can make it hold, and what they must get.

import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createClient, get } from '#test/ctld/balancer/loop/client.ts'
import { createOrigin } from '#test/ctld/balancer/loop/origin.ts'
import { liveRig, service, standingRig, turns, until } from '#test/ctld/balancer/loop/world.ts'
import { route, target } from '#test/ctld/balancer/rig.ts'

test('a client that asks and asks and takes no answer is not read for ever', async () => {
  const { rig } = await standingRig()
  const client = createClient(rig.port)
  client.socket.pause()
  const many = get('/nowhere', '', 'unknown').repeat(2_000)
  let sent = 0
  // Far more than the buffers of the kernel hold, in both directions.
  for (let idle = 0; idle < 200 && sent < 64e6; idle += 1) {
    if (client.socket.writableLength > 1e6) {
      await turn()
      continue
    }
    client.socket.write(many)
    sent += many.length
    idle = 0
    await turn()
  }
  expect(client.socket.writableLength).toBeGreaterThan(0)
  expect(sent).toBeLessThan(64e6)
}, 30_000)

test('a body and its echo go on although the client was slow for a moment', async () => {
  const rig = await liveRig()
  const { port } = await rig.program((request, response) => {
    response.writeHead(200)
    request.pipe(response)
  })
  await rig.publish(route([target('api.1.a', port)]))
  const client = createClient(rig.port)
  const size = 24e6
  client.socket.removeAllListeners('data')
  client.send(`POST /svc/api/ HTTP/1.1\r\nHost: api\r\nContent-Length: ${size}\r\n\r\n`)
  let taken = 0
  client.socket.on('data', (piece: string) => {
    taken += piece.length
    client.socket.pause()
    setImmediate(() => client.socket.resume())
  })
  const piece = Buffer.alloc(64 * 1024, 'x')
  for (let sent = 0; sent < size; sent += piece.length) {
    const one = piece.subarray(0, Math.min(piece.length, size - sent))
    if (!client.socket.write(one))
      await new Promise((resolve) => client.socket.once('drain', resolve))
  }
  await until(() => taken >= size)
}, 20_000)

test('the last answer of a connection is whole for a client that needs longer for it', async () => {
  const { rig, clock } = await standingRig()
  let size = 0
  const origin = await createOrigin(rig, ({ reply }) => {
    reply(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n${'x'.repeat(size)}`)
  })
  await rig.publish(route([target('api.1.a', origin.port)]))
  /** What comes to a client that reads nothing for 3 s after all that can go has gone. */
  const slowly = async () => {
    const client = createClient(rig.port)
    client.socket.removeAllListeners('data').pause()
    client.send(get('/svc/api/', 'Connection: close\r\n'))
    await turns(80)
    const isDone = service(rig).inFlight === 0
    clock.advance(3_000)
    await turns(10)
    let taken = 0
    client.socket.on('data', (piece: string) => {
      taken += piece.length
    })
    client.socket.resume()
    await client.rest()
    client.leave()
    return { isDone, missing: Math.max(0, size - taken) }
  }
  // The largest answer of which the balancer has read all: some of its end waits for the client.
  const cutShort: number[] = []
  let step = 8e6
  while (step > 10_000) {
    size += step
    const { isDone, missing } = await slowly()
    if (missing > 0) cutShort.push(missing)
    if (!isDone) size -= step
    step /= 2
  }
  expect(cutShort).toEqual([])
}, 60_000)
