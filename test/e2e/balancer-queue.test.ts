// What waiting requests see: their turn in the order in which they came, or a word in time. And
// what requests see of a thousand tables that are swapped under them: nothing.

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { route, target } from '#test/ctld/balancer/rig.ts'
import { type BalancerProcess, startBalancer } from '#test/helpers/balancer-process.ts'
import { startLoad } from '#test/helpers/closed-loop.ts'
import { createFailureTable } from '#test/helpers/failure-table.ts'
import { answerTo, type Serve, startOrigin } from '#test/helpers/origin.ts'
import { randomOf } from '#test/helpers/seeds.ts'

const table = createFailureTable('Requests that wait, and tables that change')
const POLL = { timeout: 20_000, interval: 10 }

let balancer: BalancerProcess
let opened: AsyncDisposableStack
let release: () => void
/** Paths in the order in which the program got them. */
let order: string[]

beforeEach(() => {
  opened = new AsyncDisposableStack()
  order = []
})
afterEach(() => opened.disposeAsync())
afterAll(() => table.print())

async function start(threads: number): Promise<void> {
  balancer = opened.use(await startBalancer(threads))
}

/** A program that answers nobody before `release`. */
async function heldProgram(): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<void>()
  release = resolve
  const serve: Serve = async (seen, socket) => {
    order.push(seen.path)
    await promise
    socket.write(answerTo(seen))
  }
  return opened.use(await startOrigin(serve)).port
}

type Client = { socket: Socket; path: string; answer: Promise<string> }

async function ask(path: string): Promise<Client> {
  const socket = connect({ host: '127.0.0.1', port: balancer.port })
  socket.setEncoding('latin1')
  opened.defer(() => void socket.destroy())
  await once(socket, 'connect')
  const { promise: answer, resolve } = Promise.withResolvers<string>()
  let text = ''
  socket.on('error', () => resolve('closed'))
  socket.on('close', () => resolve('closed'))
  socket.on('data', (piece) => {
    text += piece
    if (text.includes('\r\n\r\n')) resolve(text.slice(9, 12))
  })
  socket.write(`GET ${path} HTTP/1.1\r\nHost: api\r\n\r\n`)
  return { socket, path, answer }
}

async function outcomeOf(clients: readonly Client[]): Promise<Record<string, number>> {
  const saw: Record<string, number> = {}
  for (const { answer } of clients) {
    const kind = await answer
    saw[kind] = (saw[kind] ?? 0) + 1
  }
  return saw
}

describe('in_flight is 1', () => {
  /** The first one is being served, the others wait, in this order. */
  async function queueOf(count: number): Promise<Client[]> {
    const clients = [await ask('/first')]
    await balancer.until(({ inFlight }) => inFlight === 1)
    for (let n = 1; n <= count; n += 1) {
      clients.push(await ask(`/waits-${n}`))
      await balancer.until(({ waiting }) => waiting === n)
    }
    return clients
  }

  test('200 waiting requests are served in the order of their arrival', async () => {
    await start(1)
    const port = await heldProgram()
    await balancer.publish([route([target('i1', port)], { inFlightMax: 1, queueMs: 60_000 })])
    const clients = await queueOf(200)
    release()
    const saw = await outcomeOf(clients)
    table.add('200 wait for one place', saw, 'every answer, in order of arrival')
    expect(saw).toEqual({ 200: 201 })
    expect(order).toEqual(clients.map(({ path }) => path))
  })

  test('and also when a third of those before them leave', async () => {
    await start(1)
    const port = await heldProgram()
    await balancer.publish([route([target('i1', port)], { inFlightMax: 1, queueMs: 60_000 })])
    const clients = await queueOf(200)
    const random = randomOf(3)
    const left = new Set(clients.slice(1).filter(() => random.chance(0.33)))
    for (const { socket } of left) socket.destroy()
    const stay = clients.filter((client) => !left.has(client))
    await balancer.until(({ waiting }) => waiting === stay.length - 1)
    release()
    const saw = await outcomeOf(stay)
    table.add(`200 wait, ${left.size} leave`, saw, 'every answer, in order of arrival')
    expect(saw).toEqual({ 200: stay.length })
    expect(order).toEqual(stay.map(({ path }) => path))
  })

  test('who waits too long is told so, and the one that is served is not disturbed', async () => {
    await start(1)
    const port = await heldProgram()
    await balancer.publish([route([target('i1', port)], { inFlightMax: 1, queueMs: 500 })])
    const first = await ask('/first')
    await balancer.until(({ inFlight }) => inFlight === 1)
    const clients = await Promise.all(Array.from({ length: 50 }, (_, n) => ask(`/waits-${n}`)))
    const saw = await outcomeOf(clients)
    table.add('50 wait for a place that does not come', saw, '503 when the time is over')
    expect(saw).toEqual({ 503: 50 })
    const { endings, queue } = await balancer.service()
    expect(endings['balancer queue']).toBe(50)
    expect(queue.sumUs / queue.count).toBeGreaterThanOrEqual(500_000)
    release()
    expect(await first.answer).toBe('200')
    expect(order).toEqual(['/first'])
  })

  test('when the queue is full the next ones are told at once, while the others wait on', async () => {
    await start(1)
    const port = await heldProgram()
    const change = { inFlightMax: 1, queueMax: 10, queueMs: 60_000 }
    await balancer.publish([route([target('i1', port)], change)])
    const waiting = await queueOf(10)
    const tooMany = await Promise.all(Array.from({ length: 15 }, (_, n) => ask(`/over-${n}`)))
    const refused = await outcomeOf(tooMany)
    expect((await balancer.service()).waiting).toBe(10)
    release()
    const served = await outcomeOf(waiting)
    table.add('15 find a full queue', refused, '503 at once')
    table.add('11 came before them', served, 'every answer')
    expect([refused, served]).toEqual([{ 503: 15 }, { 200: 11 }])
  })

  test('over two loops: never two at once, and nobody is forgotten', async () => {
    await start(2)
    let under = 0
    let most = 0
    const { port } = opened.use(
      await startOrigin(async (seen, socket) => {
        under += 1
        most = Math.max(most, under)
        await new Promise(setImmediate)
        under -= 1
        socket.write(answerTo(seen))
      }),
    )
    // The time to wait is longer than the test's: a request that is forgotten is seen.
    const change = { inFlightMax: 1, queueMs: 600_000 }
    await balancer.publish([route([target('i1', port)], change)])
    const { saw } = await startLoad({ port: balancer.port, clients: 32, requests: 6_000 }).done
    table.add('32 clients and one place over two loops', saw, 'every answer')
    expect(saw).toEqual({ 200: 6_000 })
    expect(most).toBe(1)
  })
})

test('a loop dies with the only place: those who wait in the other loop get it at once', async () => {
  await start(2)
  const port = await heldProgram()
  // Longer than the test: who is not told that there is room waits too long to be seen here.
  await balancer.publish([route([target('i1', port)], { inFlightMax: 1, queueMs: 600_000 })])
  const first = await ask('/first')
  await balancer.until(({ inFlight }) => inFlight === 1)
  const waiting = await Promise.all(Array.from({ length: 40 }, (_, n) => ask(`/waits-${n}`)))
  await balancer.until((seen) => seen.waiting === 40)
  balancer.endHolderOf(0)
  expect(await first.answer).toBe('closed')
  release()
  const saw = await outcomeOf(waiting)
  table.add('one of two loops dies with the only place', saw, 'its own clients are cut off')
  expect(Object.keys(saw).sort()).toEqual(['200', 'closed'])
  expect((saw['200'] ?? 0) + (saw.closed ?? 0)).toBe(40)
})

test('a thousand tables under load: no request fails', async () => {
  await start(2)
  const TABLES = 1_000
  const origins = await Promise.all(
    [0, 1, 2, 3].map(async () =>
      opened.use(await startOrigin((seen, socket) => socket.write(answerTo(seen)))),
    ),
  )
  const random = randomOf(4)
  const all = origins.map(({ port }, n) => target(`i${n}`, port))
  const next = () => {
    const targets = all
      .filter(() => random.chance(0.6))
      .map((one) => ({ ...one, weight: random.int(1, 10) }))
    const balance = random.pick(['weighted_round_robin', 'least_request', 'p2c'] as const)
    const inFlightMax = random.chance(0.3) ? random.int(1, 4) : 0
    const change = { balance, inFlightMax, holdMs: 60_000, queueMs: 60_000 }
    return route(targets, { ...change, pipelining: random.chance(0.5) })
  }
  await balancer.publish([route(all)])
  const isPost = (path: string) => Number(path.slice(2)) % 4 === 0
  const method = (n: number) => (n % 4 === 0 ? 'POST' : 'GET')
  const load = startLoad({ port: balancer.port, clients: 16, method })
  for (let n = 0; n < TABLES; n += 1) await balancer.publish([next()])
  await balancer.publish([route(all)])
  const { saw } = await load.stop()
  table.add(`GET and POST under ${TABLES} tables`, saw, 'every answer')
  expect(Object.keys(saw)).toEqual(['200'])
  expect(saw['200']).toBeGreaterThan(TABLES)
  const posts = origins.flatMap(({ requests }) => [...requests.keys()].filter(isPost))
  expect(new Set(posts).size).toBe(posts.length)
  expect((await balancer.counters()).tableVersion).toBe(TABLES + 2)
  await expect
    .poll(async () => {
      const { instances } = await balancer.service()
      return Object.values(instances).map((one) => [
        one.inFlight,
        one.openConnections - one.idleConnections,
      ])
    }, POLL)
    .toEqual(all.map(() => [0, 0]))
})
