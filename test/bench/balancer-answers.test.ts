// What the load of bench:balancer believes, and what its origin does with what it is sent.

import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { createAnswerReader, createEchoReader } from '#bench/balancer/load/answer-reader.ts'
import { takeBody } from '#bench/balancer/load/body-reader.ts'
import { createFrameEcho } from '#bench/balancer/load/frame-echo.ts'
import { measure } from '#bench/balancer/load/measure.ts'
import * as messages from '#bench/balancer/load/messages.ts'
import { createOrigin } from '#bench/balancer/load/origin.ts'

const body = messages.bodyOf(5_000)
const answer = (head: string, of: Buffer = body) =>
  Buffer.concat([Buffer.from(`HTTP/1.1 ${head}\r\n\r\n`, 'latin1'), of])
const right = answer('200 OK\r\nX-Request-Id: 7\r\ncontent-length: 5000')
/** What a proxy would have added. */
const forwarded = (request: string) => request.replace('\r\n', '\r\nX-Forwarded-For: 127.0.0.1\r\n')

function takeAll(bytes: Buffer, pieceBytes: number): boolean[] {
  const reader = createAnswerReader(body)
  const taken: boolean[] = []
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    const piece = bytes.subarray(at, at + pieceBytes)
    taken.push(reader.take(piece, piece.length))
  }
  return taken
}

describe('an answer', () => {
  test.each([1, 3, 70, 4_096, 100_000])('is whole at its last byte, in pieces of %i', (size) => {
    const taken = takeAll(right, size)
    expect(taken.at(-1)).toBe(true)
    expect(taken.filter(Boolean)).toHaveLength(1)
  })

  test('is read after another, with another order of fields', () => {
    const reader = createAnswerReader(body)
    for (const bytes of [right, answer('200 OK\r\nContent-Length: 5000\r\nA: b'), right]) {
      expect(reader.take(bytes, bytes.length)).toBe(true)
    }
  })

  test.each([
    ['answer HTTP/1.1 503 Gone', answer('503 Gone\r\nContent-Length: 5000')],
    ['wrong or no Content-Length', answer('200 OK\r\nContent-Length: 50000')],
    ['wrong or no Content-Length', answer('200 OK\r\nTransfer-Encoding: chunked')],
    ['wrong body', answer('200 OK\r\nContent-Length: 5000', messages.bodyOf(4_999).fill(120, 17))],
    ['more bytes than the answer has', Buffer.concat([right, Buffer.from('H')])],
    ['head without an end', Buffer.alloc(5_000, 'HTTP/1.1 200 OK')],
  ])('is refused: %s', (why, bytes) => {
    expect(() => takeAll(bytes, 100_000)).toThrow(why)
  })

  test('of a WebSocket is the echo and no more', () => {
    const echo = messages.serverFrame(messages.bodyOf(100))
    const reader = createEchoReader(echo)
    expect([reader.take(echo.subarray(0, 9), 9), reader.take(echo.subarray(9), 93)]).toEqual([
      false,
      true,
    ])
    expect(() => reader.take(Buffer.concat([echo, echo]), 204)).toThrow('more bytes')
    expect(() => reader.take(Buffer.alloc(4), 4)).toThrow('wrong echo')
  })
})

describe('the origin', () => {
  const ask = async (port: number, request: string): Promise<string> => {
    const socket = connect(port, '127.0.0.1')
    socket.setEncoding('latin1')
    let text = ''
    socket.on('data', (piece: string) => {
      text += piece
      if (text.endsWith('END') || text.includes(' 400 ')) socket.destroy()
    })
    socket.write(request, 'latin1')
    await once(socket, 'close')
    return text
  }

  test('answers what is pipelined in turn, bodies in both framings', async () => {
    const origin = await createOrigin()
    const requests = [
      messages.getOf(100, { close: false }),
      messages.postOf({ chunked: true }),
      messages.getOf(messages.MEDIUM_BYTES, { close: false }),
      messages.postOf({ chunked: false }),
    ].map(forwarded)
    const socket = connect(origin.ports[1] as number, '127.0.0.1')
    socket.setEncoding('latin1')
    let text = ''
    const small = messages.bodyOf(100).toString('latin1')
    // The second half comes later, cut in the middle of a body.
    const all = requests.join('')
    socket.write(all.slice(0, 900), 'latin1')
    await once(socket, 'data').then(([piece]) => (text += piece))
    socket.write(all.slice(900), 'latin1')
    socket.on('data', (piece: string) => {
      text += piece
      if (text.split('HTTP/1.1 200 OK').length === 5 && text.endsWith(small)) socket.destroy()
    })
    await once(socket, 'close')
    const bodies = text.split(/HTTP\/1\.1 200 OK(?:\r\n.+)+\r\n\r\n/).slice(1)
    const medium = messages.bodyOf(messages.MEDIUM_BYTES).toString('latin1')
    expect(bodies).toEqual([small, small, medium, small])
    expect([origin.count(), origin.faults()]).toEqual([4, []])
    await origin.close()
  })

  test.each([
    ['no X-Forwarded-For', messages.getOf(100, { close: false })],
    [
      'no or another Host',
      forwarded(messages.getOf(100, { close: false })).replace('Host: b', 'Host: c'),
    ],
    ['the path /99?page=1', forwarded(messages.getOf(99, { close: false }))],
    ['a wrong body', forwarded(messages.postOf({ chunked: false })).replace('onacut', 'onacus')],
  ])('refuses %s', async (what, request) => {
    const origin = await createOrigin()
    expect(await ask(origin.ports[0] as number, request)).toContain('400 Bad Request')
    expect(origin.faults()).toEqual([`the origin was sent ${what}`])
    await origin.close()
  })

  test('waits for the rest of a chunked body, and finds where it ends', () => {
    const head = 'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n'
    const whole = `${head}3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n`
    for (let size = head.length; size < whole.length; size++) {
      expect(takeBody(head, whole.slice(0, size), head.length)).toBeUndefined()
    }
    const next = whole.length
    expect(takeBody(head, `${whole}GET`, head.length)).toEqual({ text: 'abc0123456789', next })
  })

  test('echoes frames without their mask, however they are cut', () => {
    const text = messages.bodyOf(100)
    const frames = Buffer.concat([messages.clientFrame(text), messages.clientFrame(text)])
    for (const cut of [1, 5, 50, 106, 107, 211]) {
      const out: Buffer[] = []
      let count = 0
      const take = createFrameEcho(
        { write: (bytes) => out.push(Buffer.from(bytes)), destroy: () => {} },
        () => (count += 1),
      )
      take(frames.subarray(0, cut))
      take(frames.subarray(cut))
      const echo = messages.serverFrame(text)
      expect([count, Buffer.concat(out)]).toEqual([2, Buffer.concat([echo, echo])])
    }
  })

  test('ends a WebSocket at a frame without a mask', () => {
    let isDestroyed = false
    const take = createFrameEcho({ write: () => {}, destroy: () => (isDestroyed = true) }, () => {})
    take(messages.serverFrame(messages.bodyOf(100)))
    expect(isDestroyed).toBe(true)
  })
})

describe('a measurement', () => {
  // Adds the field that the origin wants; the clients here send a request in one piece.
  const startRelay = async (origin: number, spoil: (text: string) => string = (text) => text) => {
    const relay = createServer((client: Socket) => {
      const program = connect(origin, '127.0.0.1')
      for (const end of [client, program]) end.setEncoding('latin1')
      client.on('data', (text: string) => {
        program.write(/^(GET|POST)/.test(text) ? forwarded(text) : text, 'latin1')
        isClosing ||= text.includes('Connection: close')
      })
      let isClosing = false
      program.on('data', (text: string) => {
        client.write(spoil(text), 'latin1')
        if (isClosing) client.end()
      })
      for (const [one, other] of [
        [client, program],
        [program, client],
      ] as const) {
        one.on('error', () => other.destroy())
        one.on('close', () => other.destroy())
      }
    })
    relay.listen(0, '127.0.0.1')
    await once(relay, 'listening')
    return { port: (relay.address() as { port: number }).port, close: () => relay.close() }
  }
  const job = { bytes: 100, connections: 3, warmUpMs: 10, ms: 100, pid: process.pid }

  test.each(['get', 'post', 'post-chunked', 'new', 'socket'] as const)('of %s', async (kind) => {
    const origin = await createOrigin()
    const relay = await startRelay(origin.ports[0] as number)
    const found = await measure({ ...job, kind, port: relay.port })
    expect(found).toMatchObject({ failed: 0, failures: {} })
    expect(found.requests).toBeGreaterThan(0)
    expect(origin.count()).toBeGreaterThanOrEqual(found.requests)
    expect(found.cpuUs).toBeGreaterThan(0)
    expect(found.seconds).toBeGreaterThanOrEqual(0.09)
    relay.close()
    await origin.close()
  })

  test('by the clock asks as often as it should, and counts from when it was due', async () => {
    const origin = await createOrigin()
    const relay = await startRelay(origin.ports[0] as number)
    const port = relay.port
    const found = await measure({ ...job, kind: 'get', port, ms: 200, warmUpMs: 0, rate: 500 })
    expect(found.failed).toBe(0)
    expect(origin.count()).toBeGreaterThanOrEqual(99)
    expect(origin.count()).toBeLessThan(500)
    expect(found.latencies?.count).toBe(origin.count())
    expect(found.latencies?.p999Ms).toBeGreaterThan(0)
    relay.close()
    await origin.close()
  })

  test('counts a wrong answer as a failure and goes on', async () => {
    const origin = await createOrigin()
    let answers = 0
    const relay = await startRelay(origin.ports[0] as number, (text) => {
      answers += 1
      return answers % 40 === 7 ? text.replace('200 OK', '502 Bad Gateway') : text
    })
    const port = relay.port
    const found = await measure({ ...job, kind: 'get', port, ms: 30, warmUpMs: 0 })
    expect(found.failed).toBeGreaterThan(0)
    expect(Object.keys(found.failures)).toEqual(['answer HTTP/1.1 502 Bad Gateway'])
    expect(found.requests).toBeGreaterThan(0)
    relay.close()
    await origin.close()
  })

  test('says so when nobody listens', async () => {
    const origin = await createOrigin()
    const port = origin.ports[0] as number
    await origin.close()
    await expect(measure({ ...job, kind: 'get', port })).rejects.toThrow('ECONNREFUSED')
  })
})
