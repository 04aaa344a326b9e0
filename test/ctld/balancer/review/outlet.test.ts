// Several large pieces to a slow peer where all goes through the stream of Node.

import { connect, createServer, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { createScratch, Outlet } from '#ctld/balancer/data-plane/loop/outlet.io.ts'
import { listening } from '#test/ctld/balancer/rig.ts'

test('a piece is not said to be taken while another one is under way', async () => {
  const accepted = Promise.withResolvers<Socket>()
  const server = createServer({ pauseOnConnect: true }, accepted.resolve)
  const socket = connect({ host: '127.0.0.1', port: await listening(server) })
  onTestFinished(() => {
    socket.destroy()
    server.close()
  })
  const peer = await accepted.promise
  onTestFinished(() => void peer.destroy())
  const left: number[] = []
  const taken = Promise.withResolvers<void>()
  const told = () => {
    left.push(socket.writableLength)
    if (socket.writableLength === 0) taken.resolve()
  }
  const outlet = new Outlet(
    socket,
    createScratch(() => undefined),
    told,
  )
  const piece = Buffer.alloc(8e6)
  outlet.octets(piece, 0, piece.length)
  outlet.octets(piece, 0, piece.length)
  expect(outlet.isBehind).toBe(true)
  peer.resume()
  await taken.promise
  expect(left).toEqual([0])
  expect(outlet.isBehind).toBe(false)
})
