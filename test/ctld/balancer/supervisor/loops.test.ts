// What happens to loops that die, hang, are too many or too few.

import { expect, test } from 'vitest'
import {
  type DataPlaneCounters,
  newInstanceCounters,
  newServiceCounters,
} from '#ctld/balancer/data-plane/counters.ts'
import { createLoops, SHRINK_GRACE_MS } from '#ctld/balancer/data-plane/supervisor/loops.ts'
import { noCounters } from '#test/fakes/counters.ts'
import { createManualClock } from '#test/helpers/manual-clock.ts'
import { aRoute, createLoopWorld, type FakeLoop, settings, settled, silent } from './world.ts'

const table = { version: 1, settings, routes: [aRoute('a', ['i-1'])], slots: { 'i-1': 0 } }

test('a loop that dies is replaced at once, and by the newest table', async () => {
  const world = rig()
  world.made.resize(2)
  await world.made.update(table)
  world.loops[1]?.die('out of memory')
  world.clock.advance(0)
  expect(world.told).toEqual(['gone 1: out of memory'])
  expect(world.living().map(({ index, tables }) => [index, tables.at(-1)?.version])).toEqual([
    [0, 1],
    [1, 1],
  ])
})

test('one that dies young again and again is replaced later each time, at most 5 s', async () => {
  const world = rig()
  world.made.resize(1)
  await world.made.update(table)
  const waits = Array.from({ length: 9 }, () => {
    const count = world.loops.length
    world.living()[0]?.die('it throws')
    let waited = 0
    for (world.clock.advance(0); world.loops.length === count; waited += 100) {
      world.clock.advance(100)
    }
    return waited
  })
  expect(waits).toEqual([0, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000])
  world.clock.advance(10_000)
  const count = world.loops.length
  world.living()[0]?.die('of age')
  world.clock.advance(0)
  expect(world.loops).toHaveLength(count + 1)
})

test('a table is in force when every loop that lives serves by it', async () => {
  const world = rig({ isPrompt: false })
  world.made.resize(3)
  let isDone = false
  const done = world.made.update(table).then((failures) => {
    isDone = true
    return failures
  })
  world.loops[0]?.update()
  world.loops[1]?.update()
  await settled()
  expect(isDone).toBe(false)
  world.loops[2]?.die('before it had read it')
  expect(await done).toEqual([])
})

test('a port that could not be opened is told once, and stands until no loop tells it any more', async () => {
  const world = rig({ isPrompt: false })
  world.made.resize(2)
  const done = world.made.update(table)
  const news = { kind: 'listener_failed' as const, port: 8080, error: 'EADDRINUSE' }
  for (const loop of world.loops) {
    loop.say({ kind: 'news', news, version: 1 })
    loop.update()
  }
  expect(await done).toEqual([{ port: 8080, error: 'EADDRINUSE' }])
  expect(world.told).toEqual(['8080 failed: EADDRINUSE'])
  world.clock.advance(12_000)
  const next = world.made.update({ ...table, version: 2 })
  for (const loop of world.loops) loop.update()
  expect(await next).toEqual([])
})

test('fewer loops: those that are too many let their connections finish, and are not replaced', async () => {
  const world = rig()
  world.made.resize(3)
  await world.made.update(table)
  world.made.resize(1)
  const drained = world.loops.filter(({ heard }) => heard.some(({ kind }) => kind === 'drain'))
  expect(drained.map(({ index }) => index)).toEqual([1, 2])
  expect(drained[0]?.heard.at(-1)).toEqual({ kind: 'drain', graceMs: SHRINK_GRACE_MS })
  for (const loop of drained) loop.say({ kind: 'drained' })
  world.clock.advance(60_000)
  expect(world.living().map(({ index }) => index)).toEqual([0])
  expect(world.told).toEqual(['gone 1: ', 'gone 2: '])
  world.made.resize(2)
  expect(world.living().map(({ index }) => index)).toEqual([0, 1])
})

test('a loop that is wanted again while it finishes is started when it has ended', async () => {
  const world = rig()
  world.made.resize(2)
  await world.made.update(table)
  world.made.resize(1)
  world.made.resize(2)
  expect(world.loops).toHaveLength(2)
  world.loops[1]?.say({ kind: 'drained' })
  expect(world.living().map(({ index }) => index)).toEqual([0, 1])
})

test('a loop that does not turn any more is ended and replaced; one that answers is not', async () => {
  const world = rig()
  world.made.resize(2)
  await world.made.update(table)
  for (let round = 0; round < 8; round += 1) {
    world.clock.advance(5_000)
    world.loops[0]?.say({ kind: 'counters', id: 0, answer: noCounters() })
  }
  world.clock.advance(0)
  expect(world.told).toEqual(['gone 1: terminated'])
  expect(world.loops[0]?.isEnded).toBe(false)
  expect(world.living().map(({ index }) => index)).toEqual([0, 1])
})

test('each inherited socket goes to a loop of its own, one for each port', async () => {
  const world = rig()
  const sockets = [
    { port: 80, fd: 4 },
    { port: 81, fd: 5 },
    { port: 80, fd: 6 },
    { port: 81, fd: 7 },
    { port: 80, fd: 8 },
  ]
  world.made.resize(2, sockets)
  await world.made.update(table)
  const given = world.loops.map(({ tables }) => tables[0]?.inherited)
  expect(given).toEqual([sockets.slice(0, 2), sockets.slice(2, 4), sockets.slice(4)])
  await world.made.update({ ...table, version: 2 })
  expect(world.loops[0]?.tables[1]?.inherited).toBeUndefined()
  world.made.resize(2)
  expect(world.loops[2]?.heard.at(-1)).toMatchObject({ kind: 'drain' })
})

test('what a loop does not answer in time is left out; when none does, that is an error', async () => {
  const world = rig()
  world.made.resize(2)
  await world.made.update(table)
  const sockets = world.made.listening()
  const ask = world.loops[0]?.heard.at(-1)
  const id = ask?.kind === 'ask' ? ask.id : -1
  world.loops[0]?.say({ kind: 'listening', id, answer: [{ port: 80, fd: 9 }] })
  world.clock.advance(2_000)
  expect(await sockets).toEqual([{ port: 80, fd: 9 }])
  const counters = world.made.counters()
  world.clock.advance(2_000)
  await expect(counters).rejects.toMatchObject({ code: 'unavailable' })
})

test('what a loop told last counts on when it has died, and when it does not answer', async () => {
  const world = rig()
  world.made.resize(2)
  await world.made.update(table)
  world.clock.advance(5_000)
  for (const loop of world.loops) loop.say(countsOf(loop, 10))
  expect(requestsOf(await counted(world, 12, 14))).toEqual({ requests: 26, inFlight: 4, first: 26 })
  // It counts three more before it dies, which it told with its pulse.
  world.loops[1]?.say(countsOf(world.loops[1], 17))
  world.loops[1]?.die('out of memory')
  world.clock.advance(0)
  expect(requestsOf(await counted(world, 20, 1))).toEqual({ requests: 38, inFlight: 4, first: 38 })
  // The first one is busy.
  const late = world.made.counters()
  world.loops[2]?.say(countsOf(world.loops[2], 2))
  world.clock.advance(2_000)
  const last = await late
  expect(requestsOf(last)).toEqual({ requests: 39, inFlight: 4, first: 39 })
  expect(last).toMatchObject({ loops: 2, tableVersion: 1, connections: { open: 6 } })
})

test('what the dead counted is forgotten with a service, and a minute after an instance left', async () => {
  const world = rig()
  world.made.resize(1)
  await world.made.update(table)
  world.loops[0]?.say(countsOf(world.loops[0], 5))
  world.loops[0]?.die('out of memory')
  world.clock.advance(0)
  const without = [aRoute('a', [])]
  await world.made.update({ ...table, version: 2, routes: without })
  world.clock.advance(59_999)
  await world.made.update({ ...table, version: 2, routes: without })
  expect(requestsOf(await counted(world, 1))).toMatchObject({ requests: 6, first: 6 })
  world.clock.advance(1)
  await world.made.update({ ...table, version: 2, routes: without })
  expect(requestsOf(await counted(world, 1))).toMatchObject({ requests: 6, first: 1 })
  await world.made.update({ ...table, version: 3, routes: [] })
  expect(requestsOf(await counted(world, 1))).toMatchObject({ requests: 1 })
})

test('the end: resolves when the last loop has finished, and none is started any more', async () => {
  const world = rig()
  world.made.resize(2)
  await world.made.update(table)
  let isDone = false
  const done = world.made.drain(5_000).then(() => {
    isDone = true
  })
  world.loops[0]?.say({ kind: 'drained' })
  await settled()
  expect(isDone).toBe(false)
  world.loops[1]?.die('in the middle of it')
  await done
  world.clock.advance(60_000)
  expect(world.loops).toHaveLength(2)
  expect(world.clock.timers()).toBe(0)
})

test('the end: a loop that hangs is ended a moment after its time', async () => {
  const world = rig()
  world.made.resize(2)
  await world.made.update(table)
  const done = world.made.drain(5_000)
  world.loops[0]?.say({ kind: 'drained' })
  world.clock.advance(9_990)
  expect(world.loops[1]?.isEnded).toBe(false)
  world.clock.advance(10)
  await done
  expect(world.clock.timers()).toBe(0)
})

type Rig = ReturnType<typeof rig>

/** So many requests, two under way and three connections open. */
function countsOf(loop: FakeLoop | undefined, requests: number) {
  const ask = loop?.heard.at(-1)
  const instance = { ...newInstanceCounters(), requests, inFlight: 2, idleConnections: 1 }
  const a = { ...newServiceCounters(), requests, inFlight: 2, instances: { 'i-1': instance } }
  const connections = { accepted: requests, open: 3, refused: 0 }
  const answer = noCounters({ tableVersion: 1, connections, services: { a } })
  return { kind: 'counters' as const, id: ask?.kind === 'ask' ? ask.id : 0, answer }
}

/** What is told when each living loop answers with so many. */
function counted(world: Rig, ...requests: number[]) {
  const told = world.made.counters()
  for (const [place, loop] of world.living().entries())
    loop.say(countsOf(loop, requests[place] ?? 0))
  return told
}

function requestsOf({ services }: DataPlaneCounters) {
  const { requests = -1, inFlight = -1, instances = {} } = services.a ?? {}
  return { requests, inFlight, first: instances['i-1']?.requests }
}

function rig(options: { isPrompt?: boolean } = {}) {
  const world = createLoopWorld(options)
  const clock = createManualClock()
  const told: string[] = []
  const made = createLoops({
    clock,
    log: silent,
    startLoop: world.startLoop,
    told: () => {},
    listenerFailed: ({ port, error }) => told.push(`${port} failed: ${error}`),
    posted: () => {},
    gone: (_, index, error) => told.push(`gone ${index}: ${error ?? ''}`),
  })
  return { ...world, clock, told, made }
}
