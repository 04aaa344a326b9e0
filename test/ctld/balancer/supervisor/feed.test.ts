// The controller's side: what it does when the data plane is there, away, another one, too slow.

import { expect, test } from 'vitest'
import { connected, hello, rig } from './feed-rig.ts'
import { aRoute, settings, settled } from './world.ts'

test('nobody listens: it is started once, dialled until it is there, and sent the newest table', async () => {
  const world = rig({ isThere: false })
  const connected = world.feed.connect()
  await world.pass(500)
  expect(world.launches).toHaveLength(1)
  world.isThere = true
  await world.pass(1_000)
  world.say(hello())
  await connected
  world.feed.publish({ version: 1, routes: [aRoute('a', ['i-1'])] })
  expect(world.sent).toMatchObject([{ kind: 'table', version: 1, settings }])
  const opened = world.feed.opened()
  world.say({ kind: 'ack', version: 1, failures: [] })
  await opened
})

test('it does not start: the error is what it said last', async () => {
  const world = rig({ isThere: false })
  const connected = world.feed.connect()
  await settled()
  world.launches[0]?.('exit code 2: --folder is missing')
  await expect(connected).rejects.toMatchObject({
    code: 'unavailable',
    message: 'tucano_balancer does not start: exit code 2: --folder is missing',
  })
})

test('the main port is taken: the start fails with the code of the system', async () => {
  const world = await connected()
  world.feed.publish({ version: 1, routes: [] })
  const opened = world.feed.opened()
  const error = 'listen EADDRINUSE: address already in use 127.0.0.1:8080'
  world.say({ kind: 'ack', version: 1, failures: [{ port: 8080, error }] })
  await expect(opened).rejects.toMatchObject({ code: 'EADDRINUSE', message: error })
})

test('a port of a service that is taken does not fail the start', async () => {
  const world = await connected()
  world.feed.publish({ version: 1, routes: [] })
  const opened = world.feed.opened()
  world.say({ kind: 'ack', version: 1, failures: [{ port: 9_000, error: 'EADDRINUSE' }] })
  await opened
})

test('it ends: it is told, started again at once, and sent the table again', async () => {
  const world = await connected()
  world.feed.publish({ version: 4, routes: [aRoute('a', ['i-1'])] })
  world.isThere = false
  world.cut()
  await world.pass(100)
  expect(world.launches).toHaveLength(1)
  world.isThere = true
  await world.pass(1_000)
  world.say(hello({ pid: 2, routed: ['i-1'] }))
  expect(world.seen).toEqual([{ kind: 'data_plane_failed', error: 'it ended without a word' }])
  expect(world.sent.map(({ kind }) => kind)).toEqual(['table', 'table'])
})

test('one that ends at once again and again is started later each time', async () => {
  const world = rig({ isThere: false })
  world.feed.connect().catch(() => {}) // Nothing ever answers here.
  const starts: number[] = []
  for (let at = 0; at < 12_000; at += 10) {
    const count = world.launches.length
    await world.pass(10)
    if (world.launches.length > count) {
      starts.push(world.clock.now())
      world.launches.at(-1)?.('exit code 1')
    }
  }
  const pauses = starts.slice(1).map((at, index) => at - (starts[index] ?? 0))
  expect(pauses.length).toBeLessThan(12)
  expect(pauses.at(-1)).toBeGreaterThan(3_000)
})

test('an upgrade is no failure: nothing is started, its successor is fed', async () => {
  const world = await connected()
  world.feed.publish({ version: 1, routes: [] })
  world.say({ kind: 'bye', why: 'upgrade' })
  world.isThere = false
  world.cut()
  await world.pass(5_000)
  expect(world.launches).toHaveLength(0)
  world.isThere = true
  await world.pass(1_000)
  world.say(hello({ pid: 2 }))
  expect(world.sent).toHaveLength(2)
  // From then on it is started again like any other.
  world.isThere = false
  world.cut()
  await world.pass(100)
  expect(world.launches).toHaveLength(1)
  expect(world.seen).toEqual([])
})

test('a successor that ends while the former one finishes is replaced at once', async () => {
  const world = rig({ isThere: false })
  const connected = world.feed.connect()
  await settled()
  world.isThere = true
  await world.pass(100)
  world.say(hello({ pid: 1 }))
  await connected
  world.say({ kind: 'bye', why: 'upgrade' })
  world.cut()
  await world.pass(100)
  world.say(hello({ pid: 2 }))
  // The one that was launched still answers what it has, and the successor is killed.
  world.isThere = false
  world.cut()
  await world.pass(1_000)
  expect(world.launches).toHaveLength(2)
  world.launches[0]?.('exit code 0')
  await world.pass(5_000)
  expect(world.launches).toHaveLength(2)
  expect(world.seen).toEqual([])
})

test('files of another version than this controller do not start one successor after the other', async () => {
  const world = await connected({ pid: 1, program: '0.2.0' })
  for (const pid of [2, 3]) {
    world.say({ kind: 'bye', why: 'upgrade' })
    world.cut()
    await world.pass(100)
    world.say(hello({ pid, program: '0.2.0' }))
  }
  expect(world.sent.filter(({ kind }) => kind === 'upgrade')).toHaveLength(1)
})

test('a data plane that cuts each connection is dialled less and less often', async () => {
  const world = await connected()
  for (let ms = 0, dials = 0; ms < 10_000; ms += 10) {
    if (world.dials > dials) {
      dials = world.dials
      world.say(hello())
      world.cut()
    }
    await world.pass(10)
  }
  expect(world.dials).toBeGreaterThan(10)
  expect(world.dials).toBeLessThan(30)
})

test('one of another version is fed, and told once to hand over to this version', async () => {
  const world = await connected({ program: '0.0.9' })
  world.feed.publish({ version: 1, routes: [] })
  world.say(hello({ program: '0.0.9' }))
  expect(world.sent.filter(({ kind }) => kind === 'upgrade')).toEqual([
    { kind: 'upgrade', command: ['node', 'main.ts'] },
  ])
  expect(world.sent.filter(({ kind }) => kind === 'table')).not.toEqual([])
})

test('one that nobody but its own unit may start is waited for', async () => {
  const world = rig({ isThere: false, mayLaunch: false })
  const connected = world.feed.connect()
  await world.pass(10_000)
  expect(world.launches).toHaveLength(0)
  world.isThere = true
  await world.pass(1_000)
  world.say(hello())
  await connected
})

test('what had requests in flight before this controller is waited for until it is drained', async () => {
  const world = await connected({ routed: ['i-1', 'i-2'] })
  expect(world.seen).toEqual([
    { kind: 'routed', instance: 'i-1' },
    { kind: 'routed', instance: 'i-2' },
  ])
  world.feed.publish({ version: 1, routes: [aRoute('a', ['i-1'])] })
  world.say({ kind: 'drained', instance: 'i-2', version: 1 })
  expect(world.seen.at(-1)).toEqual({ kind: 'drained', instance: 'i-2' })
})

test('a word about an instance that a later table has again is of the past', async () => {
  const world = await connected()
  world.feed.publish({ version: 1, routes: [aRoute('a', ['i-1'])] })
  world.feed.publish({ version: 2, routes: [] })
  world.feed.publish({ version: 3, routes: [aRoute('a', ['i-1'])] })
  world.feed.publish({ version: 4, routes: [] })
  world.say({ kind: 'drained', instance: 'i-1', version: 2 })
  expect(world.seen).toEqual([])
  world.say({ kind: 'drained', instance: 'i-1', version: 4 })
  expect(world.seen).toEqual([{ kind: 'drained', instance: 'i-1' }])
})

test('what was drained while there was no connection is told with the next one', async () => {
  const world = await connected()
  world.feed.publish({ version: 1, routes: [aRoute('a', ['i-1', 'i-2', 'i-3'])] })
  world.feed.publish({ version: 2, routes: [aRoute('a', ['i-3'])] })
  world.cut()
  await world.pass(100)
  world.say(hello({ routed: ['i-2', 'i-3'] }))
  expect(world.seen).toEqual([{ kind: 'drained', instance: 'i-1' }])
  // Before it has read the table on this connection.
  world.say({ kind: 'drained', instance: 'i-2', version: 0 })
  expect(world.seen.at(-1)).toEqual({ kind: 'drained', instance: 'i-2' })
})

test('tables are not piled up before a data plane that does not read: it gets the newest', async () => {
  const world = await connected()
  world.isFull = true
  for (let version = 1; version <= 5; version += 1) world.feed.publish({ version, routes: [] })
  expect(world.sent).toEqual([])
  world.isFull = false
  world.empty()
  expect(world.sent).toMatchObject([{ kind: 'table', version: 5 }])
})

test('other settings go out with the last table; the same ones do not', async () => {
  const world = await connected()
  world.feed.publish({ version: 1, routes: [] })
  world.feed.change({ ...settings })
  world.feed.change({ ...settings, threads: 4 })
  expect(world.sent).toMatchObject([{ settings }, { version: 1, settings: { threads: 4 } }])
})

test('it serves by the newest table when that is acked on this connection', async () => {
  const world = await connected()
  world.feed.publish({ version: 1, routes: [] })
  const first = world.feed.inForce(1_000)
  world.say({ kind: 'ack', version: 1, failures: [] })
  expect(await first).toBe(true)
  world.cut()
  await world.pass(100)
  // A program that was fed by another controller may have had a table of this number.
  world.say(hello({ pid: 2, tableVersion: 1 }))
  const again = world.feed.inForce(1_000)
  await world.pass(1_000)
  expect(await again).toBe(false)
})

test('what it counts is asked for; no answer, no connection and a loop that fails are errors', async () => {
  const world = await connected()
  const late = expect(world.feed.counters()).rejects.toThrow('it does not answer')
  await world.pass(3_000)
  await late
  const failed = expect(world.feed.counters()).rejects.toThrow('no loop')
  world.say({ kind: 'counters_failed', id: 2, error: 'no loop' })
  await failed
  const asked = expect(world.feed.counters()).rejects.toMatchObject({ code: 'unavailable' })
  world.cut()
  await asked
  await expect(world.feed.counters()).rejects.toThrow('it is not there')
})

test('a start that fails ends what it began, and nothing that was there before', async () => {
  const adopted = await connected()
  adopted.feed.abandon()
  expect(adopted.sent).toEqual([])
  const world = rig({ isThere: false })
  const done = world.feed.connect()
  await settled()
  world.isThere = true
  await world.pass(1_000)
  world.say(hello())
  await done
  world.feed.abandon()
  expect(world.sent).toEqual([{ kind: 'stop', graceMs: 0 }])
})
