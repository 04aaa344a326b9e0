// The control socket with another end that is faulty: one that does not read, one that sends what
// cannot be a table.

import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openControl } from '#ctld/balancer/data-plane/supervisor/control.io.ts'
import type { Peer } from '#ctld/balancer/data-plane/supervisor/supervisor.ts'
import { temporaryFolder } from '#test/helpers/temporary-folder.ts'
import { aRoute, aTable, silent } from './world.ts'

test('a controller that was halted does not keep it from its end', async () => {
  const world = await opened()
  world.socket.pause()
  const words = { kind: 'counters_failed', id: 1, error: 'x'.repeat(4_000) } as const
  // More than the kernel keeps for a reader.
  for (let count = 0; count < 500; count += 1) world.peer.send(words)
  await world.control.close('stop')
})

test('a table that cannot be used is refused in words; the connection stays', async () => {
  const world = await opened()
  const fault = { ...aTable(7, [aRoute('a', ['i-1'])]), routes: [{ service: '' }] }
  world.socket.write(`${JSON.stringify(fault)}\n`)
  expect(await world.nextLine()).toMatchObject({
    kind: 'refused',
    version: 7,
    error: expect.stringContaining('routes.0.service'),
  })
  const badProxy = aTable(8, [], { trustedProxies: ['10.0.0.0/99'] })
  world.socket.write(`${JSON.stringify(badProxy)}\n`)
  expect(await world.nextLine()).toMatchObject({ kind: 'refused', version: 8 })
  world.socket.write('{"kind":"tabel"}\n')
  await once(world.socket, 'close')
  await world.control.close('stop')
})

async function opened() {
  const path = join(temporaryFolder(), 'control.sock')
  const attached = Promise.withResolvers<Peer>()
  const on = {
    attached(peer: Peer) {
      attached.resolve(peer)
      return undefined
    },
    detached() {},
    heard() {},
  }
  const control = await openControl(path, on, silent)
  const socket = connect(path).setEncoding('utf8')
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => {}) // It is cut off.
  const peer = await attached.promise
  const nextLine = async () => JSON.parse((await once(socket, 'data'))[0])
  return { control, socket, peer, nextLine }
}
