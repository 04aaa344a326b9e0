import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { createScratch, Outlet } from '#ctld/balancer/data-plane/loop/outlet.io.ts'
import { OwnWrites } from '#ctld/balancer/data-plane/tcp/own-writes.io.ts'
import { listening } from '#test/ctld/balancer/rig.ts'

const PIECE = Buffer.alloc(512 * 1024, 'x')

test('a peer that takes a little now and then has moved, one that takes nothing has not', async () => {
  const server = createServer({ pauseOnConnect: true })
  const near = connect({ port: await listening(server), host: '127.0.0.1' })
  const [far] = (await once(server, 'connection')) as [Socket]
  if (near.connecting) await once(near, 'connect')
  const outlet = new Outlet(near, createScratch(OwnWrites.of), () => {})
  let written = 0
  for (; !outlet.isBehind || written < 20 * PIECE.length; written += PIECE.length) {
    outlet.octets(PIECE, 0, PIECE.length)
  }
  outlet.hasMoved()
  expect(outlet.hasMoved()).toBe(false)

  const { promise, resolve } = Promise.withResolvers<void>()
  let taken = 0
  far.on('data', (piece: Buffer) => {
    taken += piece.length
    if (taken < written / 2) return
    far.pause()
    resolve()
  })
  far.resume()
  await promise
  expect(outlet.hasMoved()).toBe(true)
  expect(outlet.hasMoved()).toBe(false)
  near.destroy()
  far.destroy()
  await new Promise((closed) => server.close(closed))
})
