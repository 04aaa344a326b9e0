// Tries whether a port is free, alone: a socket that shares the port would be let in beside
// another balancer's.

import { once } from 'node:events'
import { createServer } from 'node:net'
import { messageOf } from '#shared/errors.ts'
import type { TryPort } from './ports-held.ts'

export const tryPort: TryPort = async (host, port) => {
  const server = createServer((socket) => socket.destroy())
  try {
    server.listen({ host, port })
    await once(server, 'listening')
  } catch (error) {
    return messageOf(error)
  }
  server.close()
  await once(server, 'close')
  return undefined
}
