// The unix socket on which the controller feeds the data plane. One controller at a time: a second
// one takes the first one's place. What is sent is kept for a while when the other end does not
// read, and the connection is cut when that becomes too much; the next one learns all by its hello.

import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { z } from 'zod'
import type { Log } from '#shared/ports.ts'
import { createLines } from './lines.ts'
import { type FromDataPlane, hearController, LINE_BYTES_MAX, type ToDataPlane } from './protocol.ts'
import type { Peer } from './supervisor.ts'

const UNSENT_BYTES_MAX = 16 * 1024 * 1024
/** Observations that say the same again are left out above this. */
const UNSENT_BYTES_MANY = 1024 * 1024
const LAST_WORDS_MS_MAX = 1_000

const tableFrame = z.object({ kind: z.literal('table'), version: z.int().min(0) })

export type Control = {
  /** The socket's file is gone and every controller let go, after these last words. */
  close(why: 'upgrade' | 'stop'): Promise<void>
}

/** `path` in the working folder. Whoever calls has its lock: what lies there is a dead one's. */
export async function openControl(
  path: string,
  on: {
    attached(peer: Peer): Peer | undefined
    detached(peer: Peer): void
    heard(peer: Peer, message: ToDataPlane): void
  },
  log: Log,
): Promise<Control> {
  rmSync(path, { force: true })
  const sockets = new Map<Peer, Socket>()
  const server = createServer((socket) => {
    const peer: Peer = { send: (message) => send(socket, message, log) }
    sockets.set(peer, socket)
    const former = on.attached(peer)
    if (former !== undefined) {
      log.warn({}, 'another controller took over the data plane')
      former.send({ kind: 'bye', why: 'replaced' })
      sockets.get(former)?.end()
    }
    listen(socket, peer, { heard: (message) => on.heard(peer, message), log })
    socket.once('close', () => {
      sockets.delete(peer)
      on.detached(peer)
    })
  })
  await listening(server, path)
  return {
    async close(why) {
      const closed = once(server, 'close')
      // Node takes the socket's file away with it.
      server.close()
      for (const [peer, socket] of sockets) {
        peer.send({ kind: 'bye', why })
        socket.end(() => socket.destroy())
        // One that was halted does not read, and must not keep this program from its end.
        setTimeout(() => socket.destroy(), LAST_WORDS_MS_MAX).unref()
      }
      await closed
    },
  }
}

async function listening(server: Server, path: string): Promise<void> {
  server.listen(path)
  await once(server, 'listening')
}

function listen(
  socket: Socket,
  peer: Peer,
  { heard, log }: { heard: (message: ToDataPlane) => void; log: Log },
): void {
  const lines = createLines(LINE_BYTES_MAX)
  socket.on('error', (error) => log.debug({ error: error.message }, 'a controller is gone'))
  socket.on('data', (bytes) => {
    try {
      for (const line of lines.feed(bytes)) {
        const read = hearController(line)
        if ('message' in read) heard(read.message)
        else peer.send(refusalOf(line, read.error))
      }
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      log.error({ error: error.message }, 'the controller said what cannot be understood')
      socket.destroy()
    }
  })
}

/** Throws RangeError for what is no table: whoever sends that is no controller. */
function refusalOf(line: string, error: string): FromDataPlane {
  const table = tableFrame.safeParse(parsed(line))
  if (table.success) return { kind: 'refused', version: table.data.version, error }
  throw new RangeError(`not a message: ${error}`)
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined // The error says so already.
  }
}

function send(socket: Socket, message: Parameters<Peer['send']>[0], log: Log): void {
  if (socket.destroyed || !socket.writable) return
  const isRepeated = message.kind === 'observed' && message.observation.kind === 'unreachable'
  if (isRepeated && socket.writableLength > UNSENT_BYTES_MANY) return
  socket.write(`${JSON.stringify(message)}\n`)
  if (socket.writableLength <= UNSENT_BYTES_MAX) return
  log.warn({ unsent: socket.writableLength }, 'the controller does not read; it is let go')
  socket.destroy()
}
