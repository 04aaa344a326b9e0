import { createHash } from 'node:crypto'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { randomOf } from '#test/helpers/seeds.ts'
import { client, echo, program, tunnel } from './tcp-rig.ts'

const MIB = 1024 * 1024
/** Two buffers of the largest kind: one that is read into, one that waits to be written. */
const AHEAD_MAX = 512 * 1024

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
