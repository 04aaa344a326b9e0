import { readdirSync } from 'node:fs'
import type { Socket } from 'node:net'
import { expect, test } from 'vitest'
import { deadPort } from '#test/ctld/balancer/rig.ts'
import { client, echo, readBytes } from './tcp-rig.ts'
import { type Service, service } from './tcp-service.ts'

test('1,000 sessions, whatever their end, leave no socket open', async () => {
  const { port, ending, inFlight, sessions } = await service([await deadPort(), await echo()])
  await one(port, 0, sessions)
  await ending()
  const before = openSockets()
  for (let round = 0; round < 20; round += 1) {
    const round50 = Array.from({ length: 50 }, (_, index) => one(port, index, sessions))
    await Promise.all([...round50, ...round50.map(() => ending())])
  }
  while (openSockets() > before) await turn()
  expect(openSockets()).toBeLessThanOrEqual(before)
  expect(inFlight()).toBe(0)
})

async function one(port: number, kind: number, sessions: Service['sessions']): Promise<void> {
  const socket = client(port)
  socket.write('x'.repeat(kind * 100 + 1))
  await readBytes(socket, 1)
  if (kind % 4 === 0) socket.end()
  else if (kind % 4 === 1) socket.destroy()
  else if (kind % 4 === 2) socket.resetAndDestroy()
  else sessionOf(socket, sessions).cut()
  socket.resume()
  if (!socket.closed) await new Promise((tell) => socket.once('close', tell))
}

/** A port is used again soon: the last one it is. */
function sessionOf(socket: Socket, sessions: Service['sessions']): { cut(): void } {
  const session = sessions.findLast((one) => one.socket.remotePort === socket.localPort)
  if (session === undefined) throw new Error(`no session from port ${socket.localPort}`)
  return session
}

function openSockets(): number {
  return readdirSync('/proc/self/fd').length
}

function turn(): Promise<void> {
  return new Promise((next) => setImmediate(next))
}
