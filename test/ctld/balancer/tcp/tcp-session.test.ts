import { once } from 'node:events'
import { describe, expect, test } from 'vitest'
import { TRIES_MAX } from '#ctld/balancer/data-plane/tcp/tcp-session.io.ts'
import type { Route } from '#ctld/ports.ts'
import { deadPort } from '#test/ctld/balancer/rig.ts'
import { createManualClock } from '#test/helpers/manual-clock.ts'
import { client, echo, errorOf, program, readAll, readBytes } from './tcp-rig.ts'
import { service } from './tcp-service.ts'

describe('a session', () => {
  test('goes to an instance and is told when it has ended', async () => {
    const { port, ending, notices, inFlight } = await service([await echo()])
    const socket = client(port)
    socket.end('hello')
    expect(String(await readAll(socket))).toBe('hello')
    expect(await ending()).toEqual({
      service: 'db',
      instance: 'i0',
      endedBy: 'client',
      phase: 'tunnel',
      how: 'end',
      queueMs: 0,
      connectMs: expect.any(Number),
      totalMs: expect.any(Number),
      bytesIn: 5,
      bytesOut: 5,
      retries: 0,
    })
    expect(notices).toEqual(['succeeded i0'])
    expect(inFlight()).toBe(0)
  })

  test('may begin with what the program says', async () => {
    const { port } = await service([await program((socket) => void socket.write('220 ready'))])
    expect(await readBytes(client(port), 9)).toBe('220 ready')
  })

  test('counts as one in flight until it ends', async () => {
    const { port, ending, inFlight } = await service([await echo()])
    const socket = client(port)
    socket.write('x')
    await readBytes(socket, 1)
    expect(inFlight()).toBe(1)
    socket.destroy()
    await ending()
    expect(inFlight()).toBe(0)
  })

  test('goes on when its instance leaves the table, and when the route goes', async () => {
    const { port, publish, withdraw } = await service([await echo()])
    const socket = client(port)
    socket.write('x')
    await readBytes(socket, 1)
    publish([])
    withdraw()
    socket.write('still')
    expect(await readBytes(socket, 5)).toBe('still')
  })

  test('ends when it is idle for too long', async () => {
    const clock = createManualClock()
    const { port, ending, inFlight } = await service([await echo()], { clock, idleMs: 1_000 })
    const socket = client(port)
    socket.write('x')
    await readBytes(socket, 1)
    for (let quarter = 0; quarter < 6; quarter += 1) clock.advance(250)
    expect(await ending()).toMatchObject({ endedBy: 'balancer', phase: 'tunnel', how: 'idle' })
    expect(inFlight()).toBe(0)
  })

  test('can be cut', async () => {
    const { port, ending, sessions, inFlight } = await service([await echo()])
    const socket = client(port)
    socket.write('x')
    await readBytes(socket, 1)
    const error = errorOf(socket)
    sessions[0]?.cut()
    expect(await error).toBe('ECONNRESET')
    expect(await ending()).toMatchObject({ endedBy: 'balancer', phase: 'tunnel', how: 'cut' })
    expect(inFlight()).toBe(0)
  })
})

describe('PROXY protocol', () => {
  test('version 1 tells the program its client, before anything else', async () => {
    const to = await program((socket) => {
      readAll(socket).then((got) => socket.end(got))
    })
    const { port } = await service([to], { proxyProtocol: 'v1' })
    const socket = client(port)
    await once(socket, 'connect')
    const { localPort } = socket
    socket.end('hello')
    const got = String(await readAll(socket))
    expect(got).toBe(`PROXY TCP4 127.0.0.1 127.0.0.1 ${localPort} ${port}\r\nhello`)
  })

  test('version 2 does so in bytes', async () => {
    const to = await program((socket) => {
      readAll(socket).then((got) => socket.end(got))
    })
    const { port } = await service([to], { proxyProtocol: 'v2' })
    const socket = client(port)
    await once(socket, 'connect')
    const localPort = socket.localPort ?? 0
    socket.end('hello')
    const got = await readAll(socket)
    expect(got.subarray(0, 16).toString('hex')).toBe('0d0a0d0a000d0a515549540a2111000c')
    expect([...got.subarray(16, 24)]).toEqual([127, 0, 0, 1, 127, 0, 0, 1])
    expect([got.readUInt16BE(24), got.readUInt16BE(26)]).toEqual([localPort, port])
    expect(got.subarray(28).toString()).toBe('hello')
  })

  test('is not counted as bytes of the client', async () => {
    const { port, ending } = await service([await echo()], { proxyProtocol: 'v1' })
    const socket = client(port)
    socket.end('hello')
    await readAll(socket)
    expect((await ending()).bytesIn).toBe(5)
  })
})

describe('an instance that cannot be reached', () => {
  test('is told, and the next one is tried; nothing of the client is lost', async () => {
    const dead = await deadPort()
    const { port, ending, notices } = await service([dead, dead, await echo()])
    const socket = client(port)
    socket.end('hello')
    expect(String(await readAll(socket))).toBe('hello')
    expect(await ending()).toMatchObject({ instance: 'i2', retries: 2, how: 'end' })
    expect(notices).toEqual([
      `unreachable i0: connect ECONNREFUSED 127.0.0.1:${dead}`,
      `unreachable i1: connect ECONNREFUSED 127.0.0.1:${dead}`,
      'succeeded i2',
    ])
  })

  test('is given up after its time', async () => {
    const clock = createManualClock()
    const { port, sessions, arrived, ending, notices } = await service([await echo()], {
      clock,
      connectMs: 300,
      holdMs: 0,
    })
    // The clock is ahead of the connection: no event of it has come yet.
    arrived.then(() => clock.advance(300))
    const error = errorOf(client(port))
    expect(await ending()).toMatchObject({
      instance: 'i0',
      endedBy: 'balancer',
      how: 'error',
      error: 'no instance could be had (no connection within 300 ms)',
    })
    expect(notices).toEqual(['unreachable i0: no connection within 300 ms'])
    expect(await error).toBe('ECONNRESET')
    expect(sessions[0]?.socket.bytesRead).toBe(0)
  })

  test(`is one of ${TRIES_MAX} at most, each tried once`, async () => {
    const dead = await deadPort()
    const { port, ending, notices, inFlight } = await service(new Array(20).fill(dead))
    const error = errorOf(client(port))
    expect(await ending()).toMatchObject({
      endedBy: 'balancer',
      how: 'error',
      retries: TRIES_MAX - 1,
      error: 'no instance could be had (ECONNREFUSED)',
    })
    expect(new Set(notices).size).toBe(TRIES_MAX)
    expect(inFlight()).toBe(0)
    expect(await error).toBe('ECONNRESET')
  })

  test('may be reached again when the table has changed', async () => {
    const { port, publish, waiting, arrived, ending } = await service([await deadPort()])
    const socket = client(port)
    socket.end('hello')
    await arrived
    while (waiting.size === 0) await turn()
    publish([await echo()])
    expect(String(await readAll(socket))).toBe('hello')
    expect(await ending()).toMatchObject({ instance: 'i0', retries: 1, how: 'end' })
  })
})

describe('a session that cannot begin', () => {
  const blocked: [string, Partial<Route>, string][] = [
    ['no instance is there', { holdMs: 700 }, 'no instance could be had'],
    // The pause is over then, and there is no instance.
    [
      'the service is paused',
      { traffic: 'paused', pauseMs: 700, holdMs: 0 },
      'no instance could be had',
    ],
  ]
  test.each(blocked)('waits while %s, and no longer than it may', async (_, change, error) => {
    const clock = createManualClock()
    const { port, ending, arrived, waiting } = await service([], { clock, ...change })
    const gone = errorOf(client(port))
    await arrived
    clock.advance(699)
    expect(waiting.size).toBe(1)
    clock.advance(1)
    expect(await ending()).toMatchObject({
      endedBy: 'balancer',
      phase: 'queue',
      how: 'error',
      queueMs: 700,
      error,
    })
    expect(await gone).toBe('ECONNRESET')
    expect([waiting.size, clock.timers()]).toEqual([0, 0])
  })

  test.each(blocked)('is served when it waited while %s and that is over', async (_, change) => {
    const clock = createManualClock()
    const { port, publish, ending, arrived } = await service([], { clock, ...change })
    const socket = client(port)
    socket.end('hello')
    await arrived
    clock.advance(300)
    publish([await echo()], { traffic: 'open' })
    expect(String(await readAll(socket))).toBe('hello')
    expect(await ending()).toMatchObject({ queueMs: 300, how: 'end' })
  })

  test('goes on when a pause is over that nobody ended', async () => {
    const clock = createManualClock()
    const paused: Partial<Route> = { traffic: 'paused', pauseMs: 700 }
    const { port, ending, arrived } = await service([await echo()], { clock, ...paused })
    const socket = client(port)
    socket.end('hello')
    await arrived
    clock.advance(700)
    expect(String(await readAll(socket))).toBe('hello')
    expect(await ending()).toMatchObject({ queueMs: 700, how: 'end' })
  })

  test('waits while every instance is full, and goes on when a session ends', async () => {
    const { port, waiting } = await service([await echo()], { inFlightMax: 1 })
    const first = client(port)
    first.write('x')
    await readBytes(first, 1)
    const second = client(port)
    second.write('y')
    while (waiting.size === 0) await turn()
    first.end()
    expect(await readBytes(second, 1)).toBe('y')
  })

  test('is refused when too many wait already', async () => {
    const { port, ending } = await service([], { waitersMax: 0 })
    const gone = errorOf(client(port))
    expect(await ending()).toMatchObject({ phase: 'queue', error: 'too many sessions wait' })
    expect(await gone).toBe('ECONNRESET')
  })

  test('is refused at once in maintenance', async () => {
    const { port, ending } = await service([await echo()], { traffic: 'maintenance' })
    const gone = errorOf(client(port))
    expect(await ending()).toMatchObject({ queueMs: 0, error: 'the service is in maintenance' })
    expect(await gone).toBe('ECONNRESET')
  })

  test('is refused when its route goes', async () => {
    const { port, ending, arrived, withdraw } = await service([])
    const gone = errorOf(client(port))
    await arrived
    withdraw()
    expect(await ending()).toMatchObject({ error: 'the service has no route any more' })
    expect(await gone).toBe('ECONNRESET')
  })

  test.each(['waits', 'connects'])(
    'leaves nothing behind when it is cut while it %s',
    async (what) => {
      const clock = createManualClock()
      const made = await service(what === 'waits' ? [] : [await echo()], { clock })
      const { port, sessions, ending, waiting, arrived, inFlight } = made
      arrived.then(() => sessions[0]?.cut())
      const gone = errorOf(client(port))
      const phase = what === 'waits' ? 'queue' : 'connect'
      expect(await ending()).toMatchObject({ endedBy: 'balancer', how: 'cut', phase })
      expect(await gone).toBe('ECONNRESET')
      expect([waiting.size, clock.timers(), inFlight()]).toEqual([0, 0, 0])
    },
  )
})

function turn(): Promise<void> {
  return new Promise((next) => setImmediate(next))
}
