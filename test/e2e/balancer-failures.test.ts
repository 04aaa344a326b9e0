// What clients see when the programs behind the balancer die: in each phase of a request, in the
// moment in which a connection is used again, all of them at once, or by kill -9. Against the real
// process with two loops; the table at the end is what is asserted.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { deadPort, route, target } from '#test/ctld/balancer/rig.ts'
import { type BalancerProcess, startBalancer } from '#test/helpers/balancer-process.ts'
import { type Outcome, startLoad } from '#test/helpers/closed-loop.ts'
import { createFailureTable } from '#test/helpers/failure-table.ts'
import { answerTo, type Serve, startOrigin } from '#test/helpers/origin.ts'
import { randomOf } from '#test/helpers/seeds.ts'

const table = createFailureTable('Programs that die')
const whole: Serve = (seen, socket) => socket.write(answerTo(seen))
const LOOPS = 2

let balancer: BalancerProcess
let opened: AsyncDisposableStack

// A process of its own for each case: what one learnt of its instances is nothing to the next.
beforeEach(async () => {
  opened = new AsyncDisposableStack()
  balancer = opened.use(await startBalancer(LOOPS))
})
afterEach(() => opened.disposeAsync())
afterAll(() => table.print())

async function origin(serve: Serve, onConnection?: Parameters<typeof startOrigin>[1]) {
  return opened.use(await startOrigin(serve, onConnection))
}

async function load(requests: number, method = 'GET', clients = 8): Promise<Outcome> {
  return startLoad({ port: balancer.port, clients, requests, method: () => method }).done
}

/** After everything nothing is under way, and no connection is open that is not in a pool. */
async function expectQuiet(): Promise<void> {
  const { instances } = await balancer.until(({ inFlight }) => inFlight === 0)
  for (const one of Object.values(instances)) {
    expect(one.inFlight).toBe(0)
    expect(one.openConnections).toBe(one.idleConnections)
  }
}

describe('the moment in which a connection is used again', () => {
  const RACES: Record<string, (chance: () => boolean) => Serve> = {
    'closes as the next request comes': (chance) => (seen, socket, turn) => {
      if (turn > 0 && chance()) socket.destroy()
      else socket.write(answerTo(seen))
    },
    'resets as the next request comes': (chance) => (seen, socket, turn) => {
      if (turn > 0 && chance()) socket.resetAndDestroy()
      else socket.write(answerTo(seen))
    },
    'ends right after an answer': (chance) => (seen, socket) => {
      if (chance()) socket.end(answerTo(seen))
      else socket.write(answerTo(seen))
    },
    'ends after each answer': () => (seen, socket) => socket.end(answerTo(seen)),
    'closes whenever a connection is used again': () => (seen, socket, turn) => {
      if (turn > 0) socket.destroy()
      else socket.write(answerTo(seen))
    },
  }

  test.each(Object.keys(RACES))('a program that %s: no GET fails', async (name) => {
    const random = randomOf(1)
    const { port, requests } = await origin(RACES[name]!(() => random.chance(0.15)))
    await balancer.publish([route([target('i1', port)])])
    const { saw } = await load(3_000)
    table.add(`GET, one instance that ${name}`, saw, 'every answer')
    expect(saw).toEqual({ 200: 3_000 })
    expect(requests.size).toBe(3_000)
    await expectQuiet()
  })

  test.each(Object.keys(RACES))('a program that %s: no POST comes twice', async (name) => {
    const random = randomOf(2)
    const { port, requests } = await origin(RACES[name]!(() => random.chance(0.15)))
    await balancer.publish([route([target('i1', port)])])
    const { saw, failed } = await load(2_000, 'POST')
    table.add(`POST, one instance that ${name}`, saw, 'answer or 502, never sent twice')
    expect(Math.max(...requests.values())).toBe(1)
    expect(Object.keys(saw).filter((kind) => kind !== '200' && kind !== '502')).toEqual([])
    // Each is counted, and none was refused for nothing.
    const { statuses, endings } = await balancer.service()
    expect(statuses['502'] ?? 0).toBe(failed.size)
    expect(endings['instance head'] ?? 0).toBe(failed.size)
    await expectQuiet()
  })
})

type Death = { serve: Serve; onConnection?: (socket: Socket) => void; isRefusing?: true }

const PARTIAL_HEAD = 'HTTP/1.1 200 OK\r\nContent-Le'
const PARTIAL_BODY = 'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf of it'

/** How a program dies, and what that is to a client: of a GET, of a POST, and when it is alone. */
const DEATHS: Record<string, Death & { get: string; post: string; alone: string }> = {
  'before accept': { serve: whole, isRefusing: true, get: '200', post: '200', alone: '503' },
  'after accept': {
    serve: whole,
    onConnection: (socket) => socket.resetAndDestroy(),
    ...{ get: '200', post: '502', alone: '502' },
  },
  'after the request': {
    serve: (_seen, socket) => socket.destroy(),
    ...{ get: '200', post: '502', alone: '502' },
  },
  'in the head': {
    serve: (_seen, socket) => socket.end(PARTIAL_HEAD),
    ...{ get: '200', post: '502', alone: '502' },
  },
  'in the body': {
    serve: (_seen, socket) => socket.end(PARTIAL_BODY),
    ...{ get: 'cut', post: 'cut', alone: 'cut' },
  },
  'after the last byte': {
    serve: (seen, socket) => void socket.write(answerTo(seen), () => socket.resetAndDestroy()),
    // The reset may come as the connection is used again.
    ...{ get: '200', post: '502', alone: '200' },
  },
}

describe('a program that dies', () => {
  async function dying({ serve, onConnection, isRefusing }: Death) {
    if (!isRefusing) return origin(serve, onConnection)
    return { port: await deadPort(), requests: new Map<string, number>() }
  }

  const cases = Object.keys(DEATHS).flatMap((phase) => [
    [phase, 'GET'] as const,
    [phase, 'POST'] as const,
  ])

  test.each(cases)('%s, beside a live one: what becomes of a %s', async (phase, method) => {
    const death = DEATHS[phase]!
    const bad = await dying(death)
    const live = await origin(whole)
    await balancer.publish([route([target('bad', bad.port), target('live', live.port)])])
    const { saw } = await load(400, method)
    const worst = method === 'GET' ? death.get : death.post
    table.add(`${method}, one of two dies ${phase}`, saw, words(worst, true))
    expect(Object.keys(saw).filter((kind) => kind !== '200' && kind !== worst)).toEqual([])
    expect(saw['200']).toBeGreaterThanOrEqual(150)
    if (worst === 'cut') expect(saw.cut).toBeGreaterThanOrEqual(150)
    // Five in a row and it is out, in each loop; clients that were on their way hit it still.
    if (worst === '502') expect(saw[worst] ?? 0).toBeLessThanOrEqual(LOOPS * (5 + 8) + TRIALS_MAX)
    const isTwice = [...live.requests].some(([path, times]) => times > 1 || bad.requests.has(path))
    if (method === 'POST') expect(isTwice || Math.max(0, ...bad.requests.values()) > 1).toBe(false)
    await expectQuiet()
  })

  test.each(cases)('%s, and there is no other: a %s', async (phase, method) => {
    const death = DEATHS[phase]!
    await balancer.publish([route([target('bad', (await dying(death)).port)])])
    const { saw } = await load(200, method)
    table.add(`${method}, the only one dies ${phase}`, saw, words(death.alone, false))
    const isRace = method === 'POST' && phase === 'after the last byte'
    // A reset at once may come before the connection is known to stand: nothing was sent then.
    const others = { 'after accept': '503', 'after the last byte': isRace ? '502' : '' }[phase]
    expect(Object.keys(saw).filter((kind) => kind !== death.alone && kind !== others)).toEqual([])
    expect(saw[death.alone]).toBeGreaterThanOrEqual(100)
    await expectQuiet()
  })
})

/** One each second that a run takes on a slow machine, in each loop. */
const TRIALS_MAX = 20

function words(kind: string, isOtherThere: boolean): string {
  switch (kind) {
    case '200':
      return 'every answer'
    case 'cut':
      return 'an answer that is visibly not whole; never half of one as a whole'
    default:
      return isOtherThere ? `${kind} until it is ejected` : `${kind} at once`
  }
}

describe('all programs at once', () => {
  test('the budget bounds how often they are asked', async () => {
    const bad = await origin((_seen, socket) => socket.destroy())
    const ids = ['i1', 'i2', 'i3', 'i4', 'i5']
    await balancer.publish([route(ids.map((id) => target(id, bad.port)))])
    const startedAt = performance.now()
    const { saw } = await load(1_000)
    const windows = Math.ceil((performance.now() - startedAt) / 10_000)
    const retries = bad.total() - 1_000
    table.add(`GET, five of five fail (${retries} retries)`, saw, '502 at once')
    expect(saw).toEqual({ 502: 1_000 })
    // A fifth of the requests, or ten in ten seconds where that is more.
    expect(retries).toBeLessThanOrEqual(0.2 * 1_000 + windows * LOOPS * 10)
    expect(Math.max(...bad.requests.values())).toBeLessThanOrEqual(3)
    const counted = await balancer.service()
    expect(counted.retries).toBe(retries)
    expect(counted.retriesDenied).toBeGreaterThan(0)
  })
})

describe('programs are killed with -9', () => {
  const ROUNDS = 5

  test('under load, with another one: no GET fails, and in 50 ms nobody asks it any more', async () => {
    const live = await startProgram()
    await balancer.publish([route([target('live', live.port)])])
    const running = startLoad({ port: balancer.port, clients: 16, isRight: () => true })
    const times: number[] = []
    for (let round = 0; round < ROUNDS; round += 1) {
      const killed = await startProgram()
      const id = `killed-${round}`
      await balancer.publish([route([target(id, killed.port), target('live', live.port)])])
      await running.answered(1_000)
      times.push(await askedAfterKill(id, killed.child))
    }
    const { saw } = await running.stop()
    const words = times.map((ms) => ms.toFixed(0)).join(', ')
    table.add(
      `GET, one of two is killed, five times (asked for ${words} ms more)`,
      saw,
      'every answer',
    )
    expect(Object.keys(saw)).toEqual(['200'])
    // The machine itself may stand still for a moment, but not each time.
    expect(times.sort((a, b) => a - b)[2]).toBeLessThan(50)
    await expectQuiet()
  })

  async function startProgram(): Promise<{ port: number; child: ChildProcess }> {
    const port = await deadPort()
    const child = spawn(process.execPath, [join(import.meta.dirname, '../fixtures/program.ts')], {
      env: { ...process.env, PORT: String(port), HOST: '127.0.0.1' },
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    opened.defer(() => void child.kill('SIGKILL'))
    await once(child.stdout!, 'data')
    return { port, child }
  }

  /**
   * For how many ms the balancer still gave it requests. Looks all the time until shortly before
   * the first trial may come, a second after the ejection.
   */
  async function askedAfterKill(id: string, child: ChildProcess): Promise<number> {
    const countOf = async () => (await balancer.service()).instances[id]?.requests ?? 0
    let known = await countOf()
    const killedAt = performance.now()
    child.kill('SIGKILL')
    let lastAt = killedAt
    // What is counted now and was not at the former look happened after that look began.
    for (let lookedAt = killedAt; lookedAt - killedAt < 900; ) {
      const at = performance.now()
      const count = await countOf()
      if (count !== known) lastAt = lookedAt
      known = count
      lookedAt = at
    }
    expect((await balancer.service()).instances[id]?.connectErrors).toBeGreaterThan(0)
    return lastAt - killedAt
  }
})
