import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { readsIntoOwnBuffers } from '#ctld/balancer/data-plane/tcp/own-buffers.io.ts'
import {
  HALF_CLOSED_IDLE_MS,
  type JointEnd,
  joinSockets,
} from '#ctld/balancer/data-plane/tcp/pipe.io.ts'
import { machineClock } from '#shared/clock.io.ts'
import { createManualClock } from '#test/helpers/manual-clock.ts'
import { client, door, echo, errorOf, program, readAll, readBytes, tunnel } from './tcp-rig.ts'

test('reads into buffers of its own on this version of Node', () => {
  expect(readsIntoOwnBuffers).toBe(true)
})

test('carries bytes both ways and says who ended it', async () => {
  const { port, joined } = await tunnel(await echo())
  const socket = client(port)
  socket.write('hello')
  expect(await readBytes(socket, 5)).toBe('hello')
  socket.write(' world')
  expect(await readBytes(socket, 6)).toBe(' world')
  socket.end()
  const { ended } = await joined()
  expect(await ended).toEqual({ bytesIn: 11, bytesOut: 11, endedBy: 'client', how: 'end' })
})

test('gives each side first what was read of the other before', async () => {
  const heads = { clientHead: Buffer.from('in first, '), upstreamHead: Buffer.from('out first, ') }
  const to = await program((socket) => {
    readAll(socket).then((got) => socket.end(`got ${got}`))
  })
  const { port, joined } = await tunnel(to, heads)
  const socket = client(port)
  socket.end('then this')
  expect(String(await readAll(socket))).toBe('out first, got in first, then this')
  expect(await (await joined()).ended).toMatchObject({ bytesIn: 19, bytesOut: 34 })
})

test.each([
  ['one buffer', Buffer.alloc(64)],
  ['a buffer for each read', () => Buffer.alloc(64)],
])('takes over, in the middle of a read, a connection that was read into %s', async (_, buffer) => {
  const to = await echo()
  const taken: string[] = []
  const { promise: ended, resolve: onEnd } = Promise.withResolvers<JointEnd>()
  const port = await door(
    (accepted) => {
      const onread = {
        buffer,
        callback(count: number, read: Uint8Array) {
          taken.push(String(read.subarray(0, count)))
          const clientHead = Buffer.from('first ')
          joinSockets({
            client: accepted,
            upstream,
            clientHead,
            idleMs: 0,
            clock: machineClock,
            onEnd,
          })
          return true
        },
      }
      const upstream = connect({ host: '127.0.0.1', port: to, allowHalfOpen: true, onread })
      upstream.write('101')
    },
    { pauseOnConnect: true },
  )
  const socket = client(port)
  socket.end('then')
  expect(String(await readAll(socket))).toBe('first then')
  expect(taken).toEqual(['101'])
  expect(await ended).toMatchObject({ bytesIn: 10, bytesOut: 10, how: 'end' })
})

describe('an end', () => {
  test('of the client is passed on, and the answer still comes', async () => {
    const { port, joined } = await tunnel(
      await program((socket) => {
        readAll(socket).then((got) => socket.end(`${got.length} bytes`))
      }),
    )
    const socket = client(port)
    socket.end(Buffer.alloc(300_000))
    expect(String(await readAll(socket))).toBe('300000 bytes')
    expect(await (await joined()).ended).toMatchObject({ endedBy: 'client', how: 'end' })
  })

  test('of the instance is passed on, and the client may go on', async () => {
    const received = Promise.withResolvers<Buffer>()
    const { port, joined } = await tunnel(
      await program((socket) => {
        socket.end('bye')
        received.resolve(readAll(socket))
      }),
    )
    const socket = client(port)
    expect(String(await readAll(socket))).toBe('bye')
    socket.end('and this')
    expect(String(await received.promise)).toBe('and this')
    expect(await (await joined()).ended).toMatchObject({ endedBy: 'instance', how: 'end' })
  })

  test('that came before they were joined is passed on as well', async () => {
    const { port, joined } = await tunnel(await echo(), {}, async ({ client: accepted }) => {
      accepted.resume()
      await once(accepted, 'end')
    })
    const socket = client(port)
    socket.end()
    expect(await readAll(socket)).toHaveLength(0)
    expect(await (await joined()).ended).toMatchObject({ endedBy: 'client', how: 'end' })
  })

  test('of a connection that was closed before they were joined closes the other', async () => {
    const closed = Promise.withResolvers<string | undefined>()
    const to = await program((socket) => closed.resolve(errorOf(socket)))
    const { port, joined } = await tunnel(to, {}, async ({ client: accepted }) => {
      accepted.destroy()
      await once(accepted, 'close')
    })
    client(port)
    expect(await (await joined()).ended).toMatchObject({ endedBy: 'balancer', how: 'cut' })
    expect(await closed.promise).toBe('ECONNRESET')
  })
})

describe('a reset', () => {
  test('of the client reaches the program as a reset', async () => {
    const seen = Promise.withResolvers<string | undefined>()
    const { port, joined } = await tunnel(
      await program((socket) => {
        socket.write('go')
        seen.resolve(errorOf(socket))
      }),
    )
    const socket = client(port)
    await readBytes(socket, 2)
    socket.resetAndDestroy()
    expect(await seen.promise).toBe('ECONNRESET')
    const end = await (await joined()).ended
    expect(end).toMatchObject({ endedBy: 'client', how: 'error', error: 'ECONNRESET', bytesOut: 2 })
  })

  test('of the instance in the middle of its answer is no end for the client', async () => {
    const { port, joined } = await tunnel(
      await program((socket) => {
        socket.write('half')
        socket.once('data', () => socket.resetAndDestroy())
      }),
    )
    const socket = client(port)
    await readBytes(socket, 4)
    const error = errorOf(socket)
    socket.write('now')
    expect(await error).toBe('ECONNRESET')
    const end = await (await joined()).ended
    expect(end).toMatchObject({ endedBy: 'instance', how: 'error', error: 'ECONNRESET' })
  })

  test('after the whole answer does not take it from the client', async () => {
    const { port, joined } = await tunnel(
      await program((socket) => {
        socket.resume()
        socket.end('the whole answer', () => socket.destroy())
      }),
    )
    const socket = client(port)
    const { ended, upstream } = await joined()
    if (!upstream.readableEnded) await once(upstream, 'end')
    // Nobody is there to take it: the kernel resets the instance's side, which the next write sees.
    while (!upstream.destroyed) {
      socket.write('more')
      await turns(1)
    }
    expect(await ended).toMatchObject({ endedBy: 'instance', how: 'error' })
    expect(String(await readAll(socket))).toBe('the whole answer')
  })
})

describe('silence', () => {
  test('ends both after the limit', async () => {
    const clock = createManualClock()
    const { port, joined } = await tunnel(await echo(), { idleMs: 1_000, clock })
    const socket = client(port)
    const { ended } = await joined()
    for (let quarter = 0; quarter < 3; quarter += 1) clock.advance(250)
    socket.write('still here')
    await readBytes(socket, 10)
    for (let quarter = 0; quarter < 4; quarter += 1) clock.advance(250)
    socket.write('and here')
    await readBytes(socket, 8)
    const closed = readAll(socket)
    for (let quarter = 0; quarter < 5; quarter += 1) clock.advance(250)
    expect(await ended).toEqual({ bytesIn: 18, bytesOut: 18, endedBy: 'balancer', how: 'idle' })
    expect(await closed).toHaveLength(0)
    expect(clock.timers()).toBe(0)
  })

  test('has no limit where none is set', async () => {
    const clock = createManualClock()
    const { port, joined } = await tunnel(await echo(), { clock })
    const socket = client(port)
    await joined()
    expect(clock.timers()).toBe(0)
    clock.advance(86_400_000)
    socket.write('hello')
    expect(await readBytes(socket, 5)).toBe('hello')
  })

  test('of the one side has a limit all the same when the other has ended', async () => {
    const clock = createManualClock()
    const seen = Promise.withResolvers<Socket>()
    const { port, joined } = await tunnel(await program((socket) => seen.resolve(socket)), {
      clock,
    })
    const socket = client(port)
    socket.end()
    const deaf = await seen.promise
    deaf.resume()
    await once(deaf, 'end')
    const { ended } = await joined()
    for (let quarter = 0; quarter < 5; quarter += 1) clock.advance(HALF_CLOSED_IDLE_MS / 4)
    expect(await ended).toMatchObject({ endedBy: 'balancer', how: 'idle' })
  })
})

test('a cut ends both, and neither takes it for an end', async () => {
  const seen = Promise.withResolvers<string | undefined>()
  const { port, joined } = await tunnel(await program((socket) => seen.resolve(errorOf(socket))))
  const socket = client(port)
  const error = errorOf(socket)
  const { cut, ended } = await joined()
  cut()
  expect(await Promise.all([error, seen.promise])).toEqual(['ECONNRESET', 'ECONNRESET'])
  expect(await ended).toEqual({ bytesIn: 0, bytesOut: 0, endedBy: 'balancer', how: 'cut' })
  cut()
})

test('a cut in the moment of an end closes both all the same', async () => {
  const { port, joined } = await tunnel(await echo())
  const socket = client(port)
  const { client: accepted, cut, ended } = await joined()
  accepted.once('end', () => process.nextTick(cut))
  socket.end()
  expect(await ended).toMatchObject({ endedBy: 'balancer', how: 'cut' })
})

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise((next) => setImmediate(next))
}
