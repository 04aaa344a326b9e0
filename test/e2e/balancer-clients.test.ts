// What is left of clients that go away in the middle, and what ordinary clients see beside slow
// ones and slow programs. Against the real process with two loops; nothing may be left in the end.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { execa } from 'execa'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { route, target } from '#test/ctld/balancer/rig.ts'
import { type BalancerProcess, startBalancer } from '#test/helpers/balancer-process.ts'
import { startLoad } from '#test/helpers/closed-loop.ts'
import { createFailureTable } from '#test/helpers/failure-table.ts'
import { startOpenLoop } from '#test/helpers/open-loop.ts'
import { answerTo, type Origin, type Serve, startOrigin } from '#test/helpers/origin.ts'

const MANY = 40
/** More than the kernel takes for a client that does not read. */
const BIG = Buffer.alloc(16 * 1024 * 1024, 'x')

const table = createFailureTable('Clients that leave, slow clients, slow programs')
let balancer: BalancerProcess
let opened: AsyncDisposableStack
let origin: Origin

beforeEach(async () => {
  opened = new AsyncDisposableStack()
  balancer = opened.use(await startBalancer())
  origin = opened.use(await startOrigin(serve))
})
afterEach(() => opened.disposeAsync())
afterAll(() => table.print())

/** `/hold` is never answered, `/big` is large, all else says what it was asked. */
const serve: Serve = (seen, socket) => {
  if (seen.path.startsWith('/hold')) return new Promise(() => {})
  if (seen.path.startsWith('/big')) {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${BIG.length}\r\n\r\n`)
    socket.write(BIG)
  } else socket.write(answerTo(seen))
  return undefined
}

/** Clients that sent this and read nothing. */
async function clients(count: number, text: string): Promise<Socket[]> {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const socket = connect({ host: '127.0.0.1', port: balancer.port })
      socket.on('error', () => {}) // It is cut off at times.
      await once(socket, 'connect')
      socket.write(text)
      return socket
    }),
  )
}

function get(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: api\r\n\r\n`
}

/** Nothing is under way, no client is left, and only what the pools hold is open. */
async function expectNothingLeft(socketsBefore: number): Promise<void> {
  await balancer.until(({ inFlight, waiting }) => inFlight === 0 && waiting === 0)
  await expect
    .poll(async () => {
      const { connections, services } = await balancer.counters()
      const all = Object.values(services.api?.instances ?? {})
      const pooled = all.reduce((sum, { openConnections }) => sum + openConnections, 0)
      const idle = all.reduce((sum, { idleConnections }) => sum + idleConnections, 0)
      return [connections.open, pooled - idle, balancer.sockets() - pooled]
    }, POLL)
    .toEqual([0, 0, socketsBefore])
}

const POLL = { timeout: 20_000, interval: 20 }

describe('clients that leave', () => {
  type Phase = { name: string; begin(): Promise<Socket[]>; ending: string }

  const phases: Phase[] = [
    {
      name: 'while they wait for their turn',
      ending: 'client queue',
      async begin() {
        const change = { inFlightMax: 1 }
        await balancer.publish([route([target('i1', origin.port)], change)])
        const held = await clients(1, get('/hold'))
        await balancer.until(({ inFlight }) => inFlight === 1)
        const waiting = await clients(MANY, get('/hold'))
        await balancer.until((seen) => seen.waiting === MANY)
        return [...waiting, ...held]
      },
    },
    {
      name: 'while their connection is made',
      ending: 'client connect',
      async begin() {
        await balancer.publish([route([target('i1', await stuckPort())], { connectMs: 60_000 })])
        const sockets = await clients(MANY, get('/'))
        await balancer.until(({ instances }) => instances.i1?.connectAttempts === MANY)
        return sockets
      },
    },
    {
      name: 'while they wait for the answer',
      ending: 'client head',
      async begin() {
        const sockets = await clients(MANY, get('/hold'))
        await balancer.until(({ inFlight }) => inFlight === MANY)
        await expect.poll(() => origin.total(), POLL).toBe(MANY)
        return sockets
      },
    },
    {
      name: 'while they receive',
      ending: 'client body',
      async begin() {
        const sockets = await clients(MANY, get('/big'))
        await Promise.all(sockets.map((socket) => once(socket, 'readable')))
        return sockets
      },
    },
    {
      name: 'while they send',
      ending: 'client body',
      async begin() {
        const half = 'x'.repeat(20_000)
        const head = 'POST /up HTTP/1.1\r\nHost: api\r\nContent-Length: 40000\r\n\r\n'
        const sockets = await clients(MANY, head + half)
        await expect.poll(() => origin.total(), POLL).toBe(MANY)
        return sockets
      },
    },
  ]

  test.each(phases)(
    '$name: nothing of them is left, and nobody gets their answer',
    async (phase) => {
      await balancer.publish([route([target('i1', origin.port)])])
      const before = balancer.sockets()
      const sockets = await phase.begin()
      for (const [index, socket] of sockets.entries()) {
        if (index % 2 === 0) socket.destroy()
        else socket.resetAndDestroy()
      }
      const { endings } = await balancer.until(({ inFlight, waiting }) => inFlight + waiting === 0)
      expect(endings[phase.ending], JSON.stringify(endings)).toBeGreaterThanOrEqual(MANY)
      await balancer.publish([route([target('i1', origin.port)])])
      const { saw } = await startLoad({ port: balancer.port, requests: 400 }).done
      table.add(`after ${MANY} clients that left ${phase.name}`, saw, 'its own answer')
      expect(saw).toEqual({ 200: 400 })
      await expectNothingLeft(before)
    },
  )

  /** It listens and accepts nobody, and the kernel's queue for it is full. */
  async function stuckPort(): Promise<number> {
    const program = `
      const server = require('node:net').createServer()
      server.listen(0, '127.0.0.1', 1, () => {
        require('node:fs').writeSync(1, String(server.address().port))
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
      })`
    const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'ignore'] })
    opened.defer(() => void child.kill('SIGKILL'))
    const [port] = (await once(child.stdout, 'data')).map(Number) as [number]
    // Two fit into a queue of one.
    for (let n = 0; n < 2; n += 1) {
      const socket = connect({ host: '127.0.0.1', port })
      opened.defer(() => void socket.destroy())
      await once(socket, 'connect')
    }
    return port
  }
})

describe('slow clients, by slowhttptest', () => {
  const MODES: Record<string, string[]> = {
    headers: ['-H', '-i', '1', '-x', '10', '-u', '/svc/api/slow'],
    bodies: ['-B', '-i', '1', '-x', '10', '-s', '8192', '-u', '/svc/api/slow'],
    reading: ['-X', '-w', '512', '-y', '1024', '-n', '1', '-z', '32', '-u', '/svc/api/big'],
  }
  const SLOW = 200
  const SECONDS = 8

  test.each(Object.keys(MODES))('%s: an ordinary client sees nothing of them', async (mode) => {
    await balancer.publish([route([target('i1', origin.port)])])
    const before = balancer.sockets()
    const base = `http://127.0.0.1:${balancer.port}`
    const load = startOpenLoop({ url: `${base}/quick`, host: 'api', perSecond: 50 })
    await load.answered(20)
    const words = (MODES[mode] as string[]).map((one) => one.replace(/^\//, `${base}/`))
    const all = ['-c', SLOW, '-r', SLOW, '-l', SECONDS, '-p', 3].map(String)
    const slow = execa('slowhttptest', [...all, ...words], { reject: false })
    await expect
      .poll(async () => (await balancer.counters()).connections.open, POLL)
      .toBeGreaterThan(SLOW / 2)
    const { exitCode, stdout } = await slow
    expect(exitCode, stdout).toBe(0)
    await load.answered(20)
    await load.stop()
    const saw: Record<string, number> = {}
    for (const { status } of load.seen) saw[status] = (saw[status] ?? 0) + 1
    table.add(`beside ${SLOW} clients with slow ${mode}`, saw, 'every answer')
    expect(load.bad()).toEqual([])
    // A head has five seconds, however slowly it drips.
    const { rejected } = await balancer.counters()
    if (mode === 'headers') expect(rejected['408']).toBeGreaterThan(SLOW / 2)
    await expectNothingLeft(before)
  })
})

describe('slow programs', () => {
  const SLOW: Record<string, { serve: Serve; saw: string; words: string }> = {
    'a head that drips': {
      serve: (_seen, socket) => drip(socket, `HTTP/1.1 200 OK\r\nX-A: ${'a'.repeat(1_000)}`),
      ...{ saw: '504', words: '504 when the time for the head is over' },
    },
    'no answer': {
      serve: () => new Promise(() => {}),
      saw: '504',
      words: '504 when the time is over',
    },
    'a body that drips': {
      serve: (seen, socket) => drip(socket, answerTo(seen)),
      ...{ saw: '200', words: 'every answer, slowly' },
    },
    'a body that stops': {
      // It answers nothing else on that connection, as long as it is not done with this.
      serve(_seen, socket) {
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf')
        return new Promise<void>((resolve) => socket.once('close', () => resolve()))
      },
      ...{ saw: 'cut', words: 'an answer that is visibly not whole' },
    },
  }

  test.each(Object.keys(SLOW))('%s: other requests to the same program go on', async (name) => {
    const { serve: slowly, saw: expected, words } = SLOW[name]!
    const program = opened.use(
      await startOrigin((seen, socket, turn) =>
        seen.path.startsWith('/slow') ? slowly(seen, socket, turn) : serve(seen, socket, turn),
      ),
    )
    const limits = { responseMs: 1_500, idleMs: 1_000 }
    await balancer.publish([route([target('i1', program.port)], limits)])
    const before = balancer.sockets()
    const quick = startLoad({ port: balancer.port, clients: 4 })
    await quick.answered(200)
    const path = (n: number) => `/slow${n}`
    const slow = await startLoad({ port: balancer.port, clients: 20, requests: 60, path }).done
    await quick.answered(200)
    const { saw } = await quick.stop()
    table.add(`GET, ${name}`, slow.saw, words)
    table.add(`GET, quick beside ${name}`, saw, 'every answer')
    expect(slow.saw).toEqual({ [expected]: 60 })
    expect(Object.keys(saw)).toEqual(['200'])
    await expectNothingLeft(before)
  })

  /** One byte after the other, until it is cut off. */
  function drip(socket: Socket, text: string): Promise<void> {
    return new Promise((resolve) => {
      let sent = 0
      const timer = setInterval(() => {
        socket.write(text.slice(sent, sent + 1))
        sent += 1
        if (sent >= text.length || socket.destroyed) end()
      }, 10)
      const end = () => {
        clearInterval(timer)
        resolve()
      }
    })
  }
})
