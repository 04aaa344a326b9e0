// Tables from a controller to the loops, and what comes back: acks, what is drained, what failed.

import { expect, test } from 'vitest'
import { aPeer, aRoute, aTable, createWorld, settled } from './world.ts'

test('a table is acked when all loops serve by it and it is on disk; the newest covers older ones', async () => {
  const world = createWorld({ isPrompt: false })
  const peer = aPeer()
  world.supervisor.attach(peer)
  expect(peer.told).toEqual([
    { kind: 'hello', protocol: 1, program: '0.1.0', pid: 4_711, tableVersion: -1, routed: [] },
  ])
  world.supervisor.hear(peer, aTable(1, [aRoute('a', ['i-1'])]))
  await settled()
  world.supervisor.hear(peer, aTable(2, [aRoute('a', ['i-1', 'i-2'])]))
  await settled()
  expect(peer.of('ack')).toEqual([])
  for (const loop of world.loops) loop.update()
  await settled()
  expect(peer.of('ack').at(-1)).toEqual({ kind: 'ack', version: 2, failures: [] })
  expect(world.kept.map(({ version }) => version)).toEqual([1, 2])
  expect(world.loops[0]?.tables.at(-1)).toMatchObject({
    settings: { threads: 2 },
    slots: { 'i-1': 0, 'i-2': 1 },
  })
})

test('by the table on disk it serves without a controller, with one loop for each core', async () => {
  const world = createWorld({ cores: 3 })
  const { kind: _, ...table } = aTable(7, [aRoute('a', ['i-1'])], { threads: 0 })
  await world.supervisor.begin(table)
  expect(world.living()).toHaveLength(3)
  expect(world.kept).toEqual([])
  const peer = aPeer()
  world.supervisor.attach(peer)
  expect(peer.told[0]).toMatchObject({ tableVersion: 7, routed: ['i-1'] })
})

test('an instance that left is told as drained when the last loop says so, and slots are given back', async () => {
  const { world, peer } = await serving(['i-1', 'i-2'])
  world.supervisor.hear(peer, aTable(2, [aRoute('a', ['i-2'])]))
  await settled()
  expect(world.supervisor.routed()).toEqual(['i-1', 'i-2'])
  world.loops[0]?.empty('i-1')
  expect(peer.of('drained')).toEqual([])
  world.loops[1]?.empty('i-1')
  expect(peer.of('drained')).toEqual([{ kind: 'drained', instance: 'i-1', version: 2 }])
  expect(world.supervisor.routed()).toEqual(['i-2'])
})

test('a loop that dies takes its requests along: what only it had is drained, its counts are cleared', async () => {
  const { world, peer } = await serving(['i-1'])
  world.supervisor.hear(peer, aTable(2, []))
  await settled()
  world.loops[0]?.empty('i-1')
  world.loops[1]?.die('boom')
  expect(world.cleared).toEqual([1])
  expect(peer.of('drained')).toEqual([{ kind: 'drained', instance: 'i-1', version: 2 }])
  expect(peer.of('observed')).toEqual([
    { kind: 'observed', observation: { kind: 'loop_failed', loop: 1, error: 'boom' } },
  ])
})

test('a second controller takes the place of the first; what the first sends then is not taken', async () => {
  const { world, peer } = await serving(['i-1'])
  const second = aPeer()
  expect(world.supervisor.attach(second)).toBe(peer)
  world.supervisor.hear(peer, aTable(9, []))
  await settled()
  expect(world.supervisor.table()?.version).toBe(1)
  // The numbers of a new controller begin anew.
  world.supervisor.hear(second, aTable(1, [aRoute('b', ['i-3'])]))
  await settled()
  expect(second.of('ack')).toEqual([{ kind: 'ack', version: 1, failures: [] }])
  expect(world.supervisor.table()?.routes[0]?.service).toBe('b')
})

test('the main port is taken at the start: said in the ack, no loop opens it, tried again', async () => {
  const world = createWorld()
  world.taken.set(8080, 'listen EADDRINUSE')
  const peer = aPeer()
  world.supervisor.attach(peer)
  world.supervisor.hear(peer, aTable(1, [aRoute('a', ['i-1'])]))
  await settled()
  expect(world.loops).toEqual([])
  expect(peer.of('ack')).toEqual([
    { kind: 'ack', version: 1, failures: [{ port: 8080, error: 'listen EADDRINUSE' }] },
  ])
  world.clock.advance(1_000)
  await settled()
  expect(peer.of('observed')).toHaveLength(1)
  world.taken.clear()
  world.clock.advance(1_000)
  await settled()
  expect(world.living()).toHaveLength(2)
  world.clock.advance(60_000)
  await settled()
  expect(world.loops[0]?.tables).toHaveLength(1)
})

test("a service's port is taken: the others are served, and it is opened when it is free", async () => {
  const world = createWorld()
  world.taken.set(9_000, 'in use')
  const { kind: _, ...table } = aTable(1, [aRoute('a', ['i-1'], { publicPort: 9_000 })])
  await world.supervisor.begin(table)
  expect(world.loops[0]?.tables[0]?.routes[0]).not.toHaveProperty('publicPort')
  world.taken.clear()
  world.clock.advance(1_000)
  await settled()
  expect(world.loops[0]?.tables.at(-1)?.routes[0]?.publicPort).toBe(9_000)
  expect(world.supervisor.table()?.routes[0]?.publicPort).toBe(9_000)
})

test('the main port changes to one that is taken: the former one goes on until it is free', async () => {
  const { world, peer } = await serving(['i-1'])
  world.taken.set(8_081, 'in use')
  world.supervisor.hear(peer, aTable(2, [aRoute('a', ['i-2'])], { port: 8_081 }))
  await settled()
  expect(world.loops[0]?.tables.at(-1)).toMatchObject({
    settings: { port: 8_080 },
    routes: [{ targets: [{ instance: 'i-2' }] }],
  })
  // And back: its own port is not in its own way.
  world.taken.set(8_080, 'in use by the loops')
  world.supervisor.hear(peer, aTable(3, [aRoute('a', ['i-2'])]))
  await settled()
  expect(peer.of('ack').at(-1)).toEqual({ kind: 'ack', version: 3, failures: [] })
})

test('a disk that is full stops no traffic; it is said, and written when there is room again', async () => {
  const { world, peer } = await serving(['i-1'])
  world.disk.error = 'no space left'
  world.supervisor.hear(peer, aTable(2, [aRoute('a', ['i-2'])]))
  await settled()
  expect(peer.of('ack').at(-1)).toEqual({
    kind: 'ack',
    version: 2,
    failures: [],
    notKept: 'no space left',
  })
  expect(world.loops[0]?.tables.at(-1)?.routes[0]?.targets[0]?.instance).toBe('i-2')
  world.disk.error = undefined
  world.clock.advance(1_000)
  await settled()
  expect(world.kept.at(-1)?.version).toBe(2)
})

test('a table with more instances than there are slots is refused; the former one stays', async () => {
  const { world, peer } = await serving(['i-1'])
  const many = Array.from({ length: 65 }, (_, index) => `x-${index}`)
  world.supervisor.hear(peer, aTable(2, [aRoute('a', many)]))
  await settled()
  expect(peer.of('refused')).toMatchObject([{ version: 2 }])
  expect(world.supervisor.table()?.version).toBe(1)
})

test('what the predecessor still has in flight is drained when it says so, or when it is gone', async () => {
  const { world, peer } = await serving(['i-1'])
  const forwarded: unknown[] = []
  world.supervisor.follow(['i-0', 'i-1'], (line) => forwarded.push(line))
  expect(forwarded).toMatchObject([{ kind: 'table', version: 1 }])
  world.supervisor.predecessorDrained('i-0', 0)
  expect(peer.of('drained')).toMatchObject([{ instance: 'i-0' }])
  world.supervisor.hear(peer, aTable(2, []))
  await settled()
  for (const loop of world.loops) loop.empty('i-1')
  expect(forwarded).toMatchObject([{}, { kind: 'table', version: 2, routes: [] }])
  expect(peer.of('drained')).toHaveLength(1)
  world.supervisor.predecessorGone()
  expect(peer.of('drained')).toMatchObject([{}, { instance: 'i-1' }])
})

test('while it drains it takes tables, but opens no port and writes nothing', async () => {
  const { world, peer } = await serving(['i-1'])
  const drained = world.supervisor.drain(1_000)
  world.taken.set(9_000, 'of the successor')
  world.supervisor.hear(peer, aTable(2, [aRoute('a', ['i-2'], { publicPort: 9_000 })]))
  await settled()
  expect(world.loops[0]?.tables.at(-1)?.routes[0]?.targets[0]?.instance).toBe('i-2')
  expect(world.kept.map(({ version }) => version)).toEqual([1])
  expect(peer.of('observed')).toEqual([])
  for (const loop of world.loops) loop.say({ kind: 'drained' })
  await drained
})

test('while it drains it takes each table that comes, and says of each what is drained', async () => {
  const { world, peer } = await serving(['i-1'])
  void world.supervisor.drain(1_000)
  for (const [version, instance] of [
    [2, 'i-2'],
    [3, 'i-3'],
  ] as const) {
    world.supervisor.hear(peer, aTable(version, [aRoute('a', [instance])]))
    await settled()
    expect(world.loops[0]?.tables.at(-1)?.routes[0]?.targets[0]?.instance).toBe(instance)
  }
  for (const loop of world.loops) loop.empty('i-2')
  expect(peer.of('drained')).toMatchObject([{ instance: 'i-2' }])
})

test('an address that is not to be had leaves all ports where they are', async () => {
  const { world, peer } = await serving(['i-1'])
  const hostNow = () => world.loops[0]?.tables.at(-1)?.settings.host
  const inTheWay = 'listen EADDRINUSE: address already in use'
  const unknown = 'listen EADDRNOTAVAIL: address not available 10.9.9.9'
  world.taken.set(8_080, inTheWay).set(0, unknown)
  world.supervisor.hear(peer, aTable(2, [aRoute('a', ['i-1'])], { host: '10.9.9.9' }))
  await settled()
  expect(hostNow()).toBe('127.0.0.1')
  expect(peer.of('ack').at(-1)).toMatchObject({ failures: [{ port: 8_080, error: unknown }] })
  // The own sockets are in the way of the port, and the address is there: they are moved.
  world.taken.delete(0)
  world.clock.advance(1_000)
  await settled()
  expect(hostNow()).toBe('10.9.9.9')
})

async function serving(instances: string[]) {
  const world = createWorld()
  const peer = aPeer()
  world.supervisor.attach(peer)
  world.supervisor.hear(peer, aTable(1, [aRoute('a', instances)]))
  await settled()
  return { world, peer }
}
