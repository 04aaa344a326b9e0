// Real loops in real threads under load: one of them is killed, their number changes, all is
// counted. The origin tells by its request's id which loop it came through.

import { once } from 'node:events'
import { Agent, createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import {
  clearColumn,
  createCountsBuffer,
  growColumns,
} from '#ctld/balancer/data-plane/loop/shared-counts.ts'
import type { LoopThread } from '#ctld/balancer/data-plane/supervisor/loops.ts'
import { loopStarter } from '#ctld/balancer/data-plane/supervisor/start-loop.io.ts'
import { createSupervisor } from '#ctld/balancer/data-plane/supervisor/supervisor.ts'
import { tryPort } from '#ctld/balancer/data-plane/supervisor/try-port.io.ts'
import { machineClock } from '#shared/clock.io.ts'
import { freePorts } from '#test/helpers/free-ports.ts'
import { aPeer, aRoute, aTable, silent } from './world.ts'

const ENTRY = new URL(
  '../../../../ctld/balancer/data-plane/loop/loop-worker.io.ts',
  import.meta.url,
)
const CLIENTS = 24

test('one loop is killed under load: only its own connections break, it is replaced and reported', async () => {
  const world = await serving(2)
  const clients = Array.from({ length: CLIENTS }, () => createClient(world.port))
  const running = clients.map((client) => client.run())
  await Promise.all(clients.map((client) => client.answered(5)))
  const loops = new Set(clients.map(({ loop }) => loop()))
  expect(loops.size).toBe(2)

  world.threads[0]?.terminate()
  await Promise.all(clients.map((client) => client.answered(20)))
  for (const client of clients) client.stop()
  await Promise.all(running)

  const failed = clients.filter(({ failures }) => failures.length > 0)
  expect(new Set(failed.flatMap(({ failures }) => failures.map(({ loop }) => loop))).size).toBe(1)
  expect(Math.max(...clients.map(({ failures }) => failures.length))).toBe(1)
  expect(failed.length).toBeLessThan(CLIENTS)
  expect(world.peer.of('observed')).toMatchObject([
    { observation: { kind: 'loop_failed', loop: 0 } },
  ])
  await untilLoops(world.port, loops, 3)
  expect((await world.supervisor.listening()).map(({ port }) => port)).toEqual([
    world.port,
    world.port,
  ])
})

test('more and fewer loops under load: no request fails', async () => {
  const world = await serving(1)
  const clients = Array.from({ length: CLIENTS }, () => createClient(world.port))
  const running = clients.map((client) => client.run())
  await Promise.all(clients.map((client) => client.answered(5)))
  for (const [index, threads] of [3, 1, 2].entries()) {
    await world.feed(index + 2, threads)
    await Promise.all(clients.map((client) => client.answered(10)))
  }
  for (const client of clients) client.stop()
  await Promise.all(running)
  expect(clients.flatMap(({ failures }) => failures)).toEqual([])
})

test('all loops count for the whole balancer, also those that died', async () => {
  const world = await serving(2)
  for (let round = 0; round < 20; round += 1) {
    const client = createClient(world.port)
    await client.ask()
    client.close()
  }
  const counters = {
    loops: 2,
    tableVersion: 1,
    connections: { accepted: 20 },
    services: {
      a: { requests: 20, statuses: { 200: 20 }, instances: { 'i-1': { requests: 20 } } },
    },
  }
  world.supervisor.hear(world.peer, { kind: 'counters', id: 9 })
  await expect.poll(() => world.peer.of('counters')).toMatchObject([{ id: 9, counters }])

  for (const thread of world.threads.slice(0, 2)) thread.terminate()
  await expect.poll(() => world.peer.of('observed')).toHaveLength(2)
  // Those that are started in their place have counted nothing yet, and read the table first.
  const askAgain = () => {
    world.supervisor.hear(world.peer, { kind: 'counters', id: 10 })
    return world.peer.of('counters').at(-1)
  }
  await expect.poll(askAgain).toMatchObject({ id: 10, counters })
})

async function serving(threads: number) {
  const origin = createServer((incoming, answer) => answer.end(incoming.headers['x-request-id']))
  origin.keepAliveTimeout = 60_000
  origin.listen(0, '127.0.0.1')
  await once(origin, 'listening')
  const [port = 0] = await freePorts(1)
  const counts = createCountsBuffer(1)
  const start = loopStarter(ENTRY, { counts, logLevel: 'silent' })
  const started: LoopThread[] = []
  const supervisor = createSupervisor({
    clock: machineClock,
    log: silent,
    program: '0.1.0',
    pid: process.pid,
    cores: 2,
    slotsMax: 64,
    startLoop(index, on) {
      const thread = start(index, on)
      started.push(thread)
      return thread
    },
    growColumns: (count) => growColumns(counts, count),
    clearColumn: (column) => clearColumn(counts, column),
    keep: async () => {},
    tryPort,
  })
  onTestFinished(async () => {
    await supervisor.drain(0)
    origin.closeAllConnections()
    origin.close()
  })
  const peer = aPeer()
  supervisor.attach(peer)
  const route = aRoute('a', ['i-1'])
  for (const target of route.targets) target.port = (origin.address() as AddressInfo).port
  const world = {
    port,
    supervisor,
    peer,
    threads: started,
    async feed(version: number, count: number) {
      supervisor.hear(peer, aTable(version, [route], { port, threads: count }))
      await expect
        .poll(() => peer.of('ack').at(-1), { timeout: 20_000 })
        .toMatchObject({ version, failures: [] })
    },
  }
  await world.feed(1, threads)
  return world
}

type Failure = { loop: string | undefined; error: string }

/** One connection, kept, on which one request follows the other. */
function createClient(port: number) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const failures: Failure[] = []
  const waiting: { count: number; resolve: () => void }[] = []
  let loop: string | undefined
  let count = 0
  let isStopped = false

  function ask(): Promise<void> {
    return new Promise((resolve) => {
      const fail = (error: string) => {
        failures.push({ loop, error })
        resolve()
      }
      const sent = request({ port, host: '127.0.0.1', path: '/svc/a/', agent }, (answer) => {
        let body = ''
        answer.on('data', (piece) => {
          body += piece
        })
        answer.on('error', (error) => fail(error.message))
        answer.on('end', () => {
          if (answer.statusCode !== 200) return fail(`${answer.statusCode} ${body}`)
          loop = body.split('-')[0]
          count += 1
          resolve()
        })
      })
      sent.on('error', (error) => fail(error.message))
      sent.end()
    })
  }

  return {
    failures,
    loop: () => loop,
    ask,
    async run() {
      while (!isStopped) {
        await ask()
        for (const waiter of waiting.splice(0)) {
          if (count >= waiter.count) waiter.resolve()
          else waiting.push(waiter)
        }
      }
      agent.destroy()
    },
    answered: (more: number) =>
      new Promise<void>((resolve) => waiting.push({ count: count + more, resolve })),
    /** `run` ends after the request that is under way. */
    stop() {
      isStopped = true
    },
    close: () => agent.destroy(),
  }
}

/** New connections until so many loops in all have answered one. */
async function untilLoops(port: number, known: Set<string | undefined>, wanted: number) {
  await expect
    .poll(
      async () => {
        const client = createClient(port)
        await client.ask()
        client.close()
        known.add(client.loop())
        return known.size
      },
      { timeout: 20_000, interval: 5 },
    )
    .toBe(wanted)
}
