import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { OwnWrites, writesPastTheStream } from '#ctld/balancer/data-plane/tcp/own-writes.io.ts'
import { listening } from '#test/ctld/balancer/rig.ts'

const MIB = 1024 * 1024

/** Two ends of one connection; the near one is written to. */
async function pair() {
  const server = createServer({ pauseOnConnect: true })
  const port = await listening(server)
  const near = connect({ port, host: '127.0.0.1' })
  const [far] = (await once(server, 'connection')) as [Socket]
  if (near.connecting) await once(near, 'connect')
  far.on('error', () => {
    // Some tests break the connection.
  })
  return {
    near,
    far,
    async [Symbol.asyncDispose]() {
      near.destroy()
      far.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function heardBy(far: Socket, size: number): Promise<Buffer> {
  const { promise, resolve } = Promise.withResolvers<Buffer>()
  const pieces: Buffer[] = []
  let heard = 0
  far.on('data', (piece: Buffer) => {
    pieces.push(piece)
    heard += piece.length
    if (heard >= size) resolve(Buffer.concat(pieces))
  })
  far.resume()
  return promise
}

test('this Node lets us write past the stream', () => {
  expect(writesPastTheStream).toBe(true)
})

test('what is written at once arrives, and nothing is pending', async () => {
  await using ends = await pair()
  const own = OwnWrites.of(ends.near, () => {
    throw new Error('nothing was pending')
  })
  own?.text('caf\u00e9 ')
  own?.octets(Buffer.from('au lait'))
  expect(own?.isPending).toBe(false)
  expect((await heardBy(ends.far, 12)).toString('latin1')).toBe('caf\u00e9 au lait')
})

test('what a slow reader leaves is pending until it was taken, in order', async () => {
  await using ends = await pair()
  const taken = Promise.withResolvers<void>()
  const own = OwnWrites.of(ends.near, taken.resolve) as OwnWrites
  let written = ''
  for (let piece = 0; !own.isPending; piece += 1) {
    const text = String.fromCharCode(97 + (piece % 26)).repeat(MIB)
    written += text
    own.text(text)
  }
  const octets = Buffer.alloc(MIB, 'z')
  own.octets(octets)
  own.text('the end')
  written += `${octets.toString('latin1')}the end`
  const heard = heardBy(ends.far, written.length)
  await taken.promise
  expect(own.isPending).toBe(false)
  expect((await heard).toString('latin1') === written).toBe(true)
})

test('a write to an end that is gone ends the socket with an error', async () => {
  await using ends = await pair()
  const own = OwnWrites.of(ends.near, () => {}) as OwnWrites
  const failed = once(ends.near, 'error')
  ends.far.resetAndDestroy()
  const write = () => {
    if (ends.near.destroyed) return
    own.text('x')
    setImmediate(write)
  }
  write()
  const [error] = await failed
  expect(['EPIPE', 'ECONNRESET']).toContain((error as NodeJS.ErrnoException).code)
})

test('a socket that was destroyed while something was pending is not told of it', async () => {
  await using ends = await pair()
  let told = 0
  const own = OwnWrites.of(ends.near, () => {
    told += 1
  }) as OwnWrites
  while (!own.isPending) own.text('x'.repeat(MIB))
  ends.near.destroy()
  await once(ends.near, 'close')
  expect(told).toBe(0)
})
