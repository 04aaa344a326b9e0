import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { request } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { createRig, deadPort, type Rig, route, target } from './rig.ts'

const MIB = 2 ** 20
const BIG = 50 * MIB
/** What the kernel's buffers of two connections may hold, and Node's. */
const HELD_MAX = 25 * MIB

function* zeros(bytes: number): Generator<Buffer> {
  const piece = Buffer.alloc(64 * 1024)
  for (let left = bytes; left > 0; left -= piece.length) yield piece
}

test('Q21: an event reaches the client before the answer ends, and the head before any event', async () => {
  await using rig = await createRig()
  const steps: (() => void)[] = []
  const program = await rig.program((_request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' }).flushHeaders()
    steps.push(
      () => void response.write('data: one\n\n'),
      () => void response.end('data: two\n\n'),
    )
  })
  rig.publish(route([target('i1', program.port)]))
  const answer = await fetch(`http://127.0.0.1:${rig.port}/svc/api/`)
  expect(answer.headers.get('content-type')).toBe('text/event-stream')
  const reader = answer.body?.getReader()
  const read = async () => new TextDecoder().decode((await reader?.read())?.value)
  steps[0]?.()
  expect(await read()).toBe('data: one\n\n')
  steps[1]?.()
  expect(await read()).toBe('data: two\n\n')
})

test('Q21: a piece of a request body reaches the program before the body ends', async () => {
  await using rig = await createRig()
  let arrived: (text: string) => void = () => {}
  const first = new Promise<string>((resolve) => {
    arrived = resolve
  })
  const program = await rig.program((incoming, response) => {
    incoming.once('data', (piece) => arrived(String(piece)))
    incoming.once('end', () => response.end('done'))
  })
  rig.publish(route([target('i1', program.port)]))
  const sent = request({ port: rig.port, host: '127.0.0.1', method: 'PUT', path: '/svc/api/' })
  sent.write('first')
  expect(await first).toBe('first')
  sent.end('last')
  const [answer] = await once(sent, 'response')
  expect(answer.statusCode).toBe(200)
  answer.resume()
})

test('50 MB pass to the program whole; what it does not read yet stays with the client', async () => {
  await using rig = await createRig()
  let [received, sentBytes, held] = [0, 0, 0]
  const program = await rig.program(async (incoming, response) => {
    const hash = createHash('sha256')
    for await (const piece of incoming) {
      received += piece.length
      held = Math.max(held, sentBytes - received)
      hash.update(piece)
      await turns()
    }
    response.end(hash.digest('hex'))
  })
  rig.publish(route([target('i1', program.port)]))
  const expected = createHash('sha256')
  const sent = request(`http://127.0.0.1:${rig.port}/svc/api/`, { method: 'PUT' })
  const pieces = function* () {
    for (const piece of zeros(BIG)) {
      sentBytes += piece.length
      expected.update(piece)
      yield piece
    }
  }
  const [[answer]] = await Promise.all([
    once(sent, 'response'),
    pipeline(Readable.from(pieces()), sent),
  ])
  expect((await answer.setEncoding('utf8').toArray()).join('')).toBe(expected.digest('hex'))
  expect(held).toBeLessThan(HELD_MAX)
})

test('50 MB pass to the client whole; what it does not read yet stays with the program', async () => {
  await using rig = await createRig()
  let [received, produced, held] = [0, 0, 0]
  const program = await rig.program((_incoming, response) => {
    const pieces = function* () {
      for (const piece of zeros(BIG)) {
        produced += piece.length
        yield piece
      }
    }
    response.writeHead(200, { 'Content-Length': BIG })
    Readable.from(pieces()).pipe(response)
  })
  rig.publish(route([target('i1', program.port)]))
  const sent = request(`http://127.0.0.1:${rig.port}/svc/api/`).end()
  const [answer] = await once(sent, 'response')
  for await (const piece of answer) {
    received += piece.length
    held = Math.max(held, produced - received)
    await turns()
  }
  expect(received).toBe(BIG)
  expect(held).toBeLessThan(HELD_MAX)
})

/** A slow reader: everybody else gets to do all that they can. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}

async function echoServer(rig: Rig) {
  const { port, server } = await rig.program(() => {})
  const handleProtocols = (offered: Set<string>) => [...offered][0] ?? false
  const sockets = new WebSocketServer({ server, handleProtocols })
  const seen: Record<string, unknown>[] = []
  sockets.on('connection', (socket, incoming) => {
    seen.push({ ...incoming.headers, url: incoming.url })
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
  })
  return { port, seen }
}

test('Q21: a WebSocket passes, with its protocol, its path and who the client is', async () => {
  await using rig = await createRig()
  const echo = await echoServer(rig)
  rig.publish(route([target('i1', echo.port)]))
  const socket = new WebSocket(`ws://127.0.0.1:${rig.port}/svc/api/room?x=1`, ['chat'], {
    headers: { 'X-Tuc-Fwd-For': 'lie', cookie: 'a=b' },
  })
  const [[upgrade]] = await Promise.all([once(socket, 'upgrade'), once(socket, 'open')])
  expect(upgrade.headers['x-tuc-inst']).toBe('i1')
  expect(socket.protocol).toBe('chat')
  const big = Buffer.alloc(3 * MIB, 7)
  socket.send('hello')
  expect(String((await once(socket, 'message'))[0])).toBe('hello')
  socket.send(big)
  expect((await once(socket, 'message'))[0]).toEqual(big)
  expect(echo.seen).toMatchObject([
    { url: '/room?x=1', cookie: 'a=b', 'x-tuc-fwd-for': '127.0.0.1', 'x-tuc-inst': 'i1' },
  ])
  socket.close(4_001, 'bye')
  expect((await once(socket, 'close'))[0]).toBe(4_001)
})

test('Q22: an open WebSocket is a request under way: drained only after it', async () => {
  await using rig = await createRig()
  const echo = await echoServer(rig)
  rig.publish(route([target('i1', echo.port)]))
  const socket = new WebSocket(`ws://127.0.0.1:${rig.port}/svc/api/`)
  await once(socket, 'open')
  rig.publish(route([]))
  expect(rig.observed).toEqual([])
  socket.send('still here')
  expect(String((await once(socket, 'message'))[0])).toBe('still here')
  socket.close()
  expect(await rig.saw('emptied')).toEqual({ kind: 'emptied', instance: 'i1' })
})

test('a WebSocket goes to another instance when one refuses the connection', async () => {
  await using rig = await createRig()
  const echo = await echoServer(rig)
  rig.publish(route([target('dead', await deadPort()), target('live', echo.port)]))
  const socket = new WebSocket(`ws://127.0.0.1:${rig.port}/svc/api/`)
  await once(socket, 'open')
  socket.terminate()
})

test('a handshake that the program, or the balancer, refuses is an ordinary answer', async () => {
  await using rig = await createRig()
  const program = await rig.program((_incoming, response) => response.writeHead(200).end('plain'))
  program.server.on('upgrade', (_incoming, socket) => {
    socket.end('HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno')
  })
  rig.publish(route([target('i1', program.port)]), route([], { service: 'off', hosts: ['off'] }))
  const statusOf = async (host: string) => {
    const socket = new WebSocket(`ws://127.0.0.1:${rig.port}/`, { headers: { host } })
    const [, answer] = await once(socket, 'unexpected-response')
    answer.resume()
    return answer.statusCode
  }
  expect(await statusOf('api')).toBe(401)
  expect(await statusOf('off')).toBe(503)
  expect(await statusOf('nobody')).toBe(404)
})

test('an offer of another protocol is declined, the request served', async () => {
  await using rig = await createRig()
  const program = await rig.program((incoming, response) => {
    response.end(String(incoming.headers.upgrade))
  })
  rig.publish(route([target('i1', program.port)]))
  const headers = { Connection: 'Upgrade, HTTP2-Settings', Upgrade: 'h2c', 'HTTP2-Settings': 'x' }
  expect(await rig.ask('/', { headers })).toMatchObject({ status: 200, body: 'undefined' })
})

test('B2: a client that stops in the middle of its body is answered 408', async () => {
  await using rig = await createRig()
  let isCut: () => void = () => {}
  const cut = new Promise<void>((resolve) => {
    isCut = resolve
  })
  const program = await rig.program((incoming) => {
    incoming.once('error', isCut)
  })
  rig.publish(route([target('i1', program.port)], { idleMs: 100 }))
  const received = await rig.raw('POST / HTTP/1.1\r\nHost: api\r\nContent-Length: 9\r\n\r\nhalf')
  expect(received).toMatch(/^HTTP\/1\.1 408 .*Connection: close/s)
  await cut
})

test('a client that takes nothing for too long is cut off, and its instance is free', async () => {
  await using rig = await createRig()
  const program = await rig.program((_incoming, response) => {
    Readable.from(zeros(BIG)).pipe(response)
  })
  rig.publish(route([target('i1', program.port)], { idleMs: 100 }))
  const [answer] = await once(request(`http://127.0.0.1:${rig.port}/svc/api/`).end(), 'response')
  // Nothing is read before the instance is free again: that is what is waited for.
  rig.publish(route([], { idleMs: 100 }))
  await rig.saw('emptied')
  await expect(answer.toArray()).rejects.toMatchObject({ code: 'ECONNRESET' })
})
