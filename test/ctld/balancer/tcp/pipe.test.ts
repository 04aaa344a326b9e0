import { createHash } from 'node:crypto'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { HALF_CLOSED_IDLE_MS } from '#ctld/balancer/data-plane/tcp/pipe.io.ts'
import { readsIntoOwnBuffers } from '#ctld/balancer/data-plane/tcp/way.io.ts'
import { createManualClock } from '#test/helpers/manual-clock.ts'
import { randomOf } from '#test/helpers/seeds.ts'
import { client, echo, errorOf, program, readAll, readBytes, tunnel } from './tcp-rig.ts'

const MIB = 1024 * 1024
/** Two buffers of the largest kind: one that is read into, one that waits to be written. */
const AHEAD_MAX = 512 * 1024

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

describe('a large transfer', () => {
  test('in both directions keeps every byte in its place, whatever the sizes and the pace', async () => {
    const { port } = await tunnel(await echo())
    const sessions = Array.from({ length: 8 }, async (_, seed) => {
      const socket = client(port)
      const [got, sent] = await Promise.all([
        readAtRandom(socket, seed),
        sendAtRandom(socket, 6 * MIB, seed),
      ])
      expect(got).toEqual(sent)
    })
    await Promise.all(sessions)
  })

  test.each(['client', 'upstream'] as const)(
    'waits for a slow %s in bounded memory',
    async (slow) => {
      let aheadMax = 0
      let toldBehind = () => {}
      const behind = new Promise<void>((tell) => {
        toldBehind = tell
      })
      const source = (socket: Socket) => void sendAtRandom(socket, 48 * MIB, 7)
      const reader = async (socket: Socket) => {
        await behind
        return readAtRandom(socket, 7)
      }
      const { promise: read, resolve: tellRead } = Promise.withResolvers<{ bytes: number }>()
      const { port } = await tunnel(
        await program((socket) => {
          if (slow === 'client') source(socket)
          else tellRead(reader(socket))
        }),
        {},
        (sockets) => {
          const to = sockets[slow]
          const write = to.write.bind(to) as (piece: Buffer) => boolean
          to.write = ((piece: Buffer) => {
            const goesOn = write(piece)
            aheadMax = Math.max(aheadMax, to.writableLength)
            if (!goesOn) toldBehind()
            return goesOn
          }) as Socket['write']
        },
      )
      const socket = client(port)
      if (slow === 'client') tellRead(reader(socket))
      else source(socket)
      expect((await read).bytes).toBe(48 * MIB)
      expect(aheadMax).toBeGreaterThan(0)
      expect(aheadMax).toBeLessThanOrEqual(AHEAD_MAX)
    },
  )
})

test('small pieces that wait for a slow reader stay what they are', async () => {
  let isBehind = false
  const { promise: sent, resolve: tellSent } = Promise.withResolvers<Told>()
  const to = await program(async (socket) => {
    const hash = createHash('sha1')
    let bytes = 0
    for (let more = 200; more > 0; more -= isBehind ? 1 : 0) {
      const piece = Buffer.alloc(200, `${bytes};`)
      hash.update(piece)
      bytes += piece.length
      socket.write(piece)
      await turns(1)
    }
    socket.end()
    tellSent({ bytes, hash: hash.digest('hex') })
  })
  const { port } = await tunnel(to, {}, ({ client: accepted }) => {
    const write = accepted.write.bind(accepted) as (piece: Buffer) => boolean
    accepted.write = ((piece: Buffer) => {
      const goesOn = write(piece)
      isBehind ||= accepted.writableLength > 0
      return goesOn
    }) as Socket['write']
  })
  const socket = client(port)
  const told = await sent
  expect(await readAtRandom(socket, 1)).toEqual(told)
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

type Told = { bytes: number; hash: string }

/** Pieces of 1 byte to 300 KiB, all of the seed's own pattern; then the end. */
async function sendAtRandom(socket: Socket, bytes: number, seed: number): Promise<Told> {
  const random = randomOf(seed)
  const hash = createHash('sha1')
  for (let left = bytes; left > 0; ) {
    const size = Math.min(left, random.chance(0.5) ? random.int(1, 900) : random.int(1, 300_000))
    const piece = Buffer.alloc(size, `${seed}:${left};`)
    hash.update(piece)
    left -= size
    if (!socket.write(piece)) await once(socket, 'drain')
  }
  socket.end()
  return { bytes, hash: hash.digest('hex') }
}

/** Now and then it rests for some turns of the loop. */
async function readAtRandom(socket: Socket, seed: number): Promise<Told> {
  const random = randomOf(seed)
  const hash = createHash('sha1')
  let bytes = 0
  for await (const piece of socket.iterator({ destroyOnReturn: false })) {
    hash.update(piece)
    bytes += piece.length
    if (random.chance(0.1)) await turns(random.int(1, 10))
  }
  return { bytes, hash: hash.digest('hex') }
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise((next) => setImmediate(next))
}
