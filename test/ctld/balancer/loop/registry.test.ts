import { expect, test } from 'vitest'
import type { LoopNews } from '#ctld/balancer/data-plane/loop/loop-table.ts'
import { createRegistry } from '#ctld/balancer/data-plane/loop/registry.ts'
import { createCountsBuffer, SharedCounts } from '#ctld/balancer/data-plane/loop/shared-counts.ts'
import type { Lane, Upstream } from '#ctld/balancer/data-plane/loop/upstream.ts'
import type { Route } from '#ctld/ports.ts'
import { route, silentLog, target } from '#test/ctld/balancer/rig.ts'

const settings = {
  host: '127.0.0.1',
  port: 0,
  threads: 1,
  trustedProxies: [],
  accessLog: null,
  connectionsMax: 100,
  connectionsPerIp: 0,
}

function createBench(given?: SharedCounts) {
  let now = 0
  let version = 0
  const seen: LoopNews[] = []
  const slots: Record<string, number> = {}
  const bell = { ring() {}, onRing() {} }
  const buffer = createCountsBuffer(2)
  const counts = given ?? new SharedCounts({ buffer, column: 0, bell })
  const registry = createRegistry({
    clock: { now: () => now, wall: () => now, after: () => () => {} },
    dice: { random: () => 0 },
    log: silentLog,
    counts,
    tell: (news) => void seen.push(news),
  })
  const publish = (...routes: Route[]): Lane => {
    for (const { targets } of routes)
      for (const { instance } of targets) slots[instance] ??= Object.keys(slots).length
    version += 1
    const [lane] = registry.update({ version, settings, routes, slots }).values()
    if (lane === undefined) throw new Error('no route')
    return lane
  }
  const claim = (lane: Lane, tried?: ReadonlySet<Upstream>) =>
    registry.claim(lane, { key: undefined, token: undefined, tried })
  const wait = (ms: number): void => {
    now += ms
  }
  return { registry, buffer, counts, slots, seen, publish, claim, wait }
}

/** Puts a connection into the pool of the instance; returns whether it was closed. */
function pooled({ idle }: Upstream): () => boolean {
  let isClosed = false
  const connection = {
    idleSince: 0,
    idleUntil: 1_000,
    destroy() {
      isClosed = true
      idle.splice(idle.indexOf(connection), 1)
    },
  }
  idle.push(connection)
  return () => isClosed
}

function pair(lane: Lane): [Upstream, Upstream] {
  const [first, second] = lane.upstreams
  if (first === undefined || second === undefined) throw new Error('there are two instances')
  return [first, second]
}

test('an instance without a connection is skipped for 1, 2, 4, 8 and then 10 seconds', () => {
  const { registry, publish, claim, seen, wait } = createBench()
  const lane = publish(route([target('i1', 1), target('i2', 2)]))
  const [first] = pair(lane)
  const isChosen = () => [claim(lane), claim(lane)].includes(first)
  for (const ms of [1_000, 2_000, 4_000, 8_000, 10_000, 10_000]) {
    registry.unreachable(first, 'refused')
    registry.unreachable(first, 'refused, at the same moment')
    wait(ms - 1)
    expect(isChosen()).toBe(false)
    wait(1)
    expect(isChosen()).toBe(true)
  }
  // Told once for each second in which it was seen.
  expect(seen).toHaveLength(6)
  expect(first.counters).toMatchObject({ connectErrors: 12, ejections: 6 })
  registry.succeeded(first)
  registry.unreachable(first, 'refused')
  wait(1_000)
  expect(isChosen()).toBe(true)
})

test('that this machine is short of something is no fault of an instance', () => {
  const { registry, publish, claim, seen } = createBench()
  const lane = publish(route([target('i1', 1), target('i2', 2)]))
  for (const error of ['EMFILE', 'ENFILE', 'EADDRNOTAVAIL', 'ENOBUFS']) {
    const upstream = claim(lane) as Upstream
    registry.unreachable(upstream, error)
    registry.release(upstream)
  }
  const chosen = [claim(lane), claim(lane)].map((upstream) => upstream?.instance)
  expect(chosen.toSorted()).toEqual(['i1', 'i2'])
  expect(seen).toEqual([])
})

test('the last one is never skipped, and what was tried is not tried again', () => {
  const { registry, publish, claim } = createBench()
  const lane = publish(route([target('i1', 1), target('i2', 2)]))
  for (const upstream of lane.upstreams) registry.unreachable(upstream, 'refused')
  const first = claim(lane)
  if (first === undefined) throw new Error('nobody chosen')
  const second = claim(lane, new Set([first]))
  expect(second).toBeDefined()
  expect(second).not.toBe(first)
  expect(claim(lane, new Set(lane.upstreams))).toBeUndefined()
})

test('Q22: who left the table is empty when its last request has ended', () => {
  const { registry, publish, claim, seen } = createBench()
  const lane = publish(route([target('i1', 1), target('i2', 2)]))
  const [first, second] = pair(lane)
  const isClosed = [pooled(first), pooled(second)]
  const busy = claim(lane)
  expect(busy).toBe(first)
  publish(route([]))
  expect(seen).toEqual([{ kind: 'emptied', instance: 'i2' }])
  expect(isClosed.map((was) => was())).toEqual([false, true])
  registry.release(first)
  expect(seen.at(-1)).toEqual({ kind: 'emptied', instance: 'i1' })
  expect(isClosed.map((was) => was())).toEqual([true, true])
})

test('Q22: who comes back into the table is not told to be empty', () => {
  const { registry, publish, claim, seen } = createBench()
  const busy = claim(publish(route([target('i1', 1)])))
  if (busy === undefined) throw new Error('nobody chosen')
  publish(route([]))
  const again = publish(route([target('i1', 1)]))
  expect(again.upstreams[0]).toBe(busy)
  registry.release(busy)
  expect(seen).toEqual([])
})

test('an instance that starts again on another port gets new connections and a new chance', () => {
  const { registry, publish, claim } = createBench()
  const lane = publish(route([target('i1', 1), target('i2', 2)]))
  const [first, second] = pair(lane)
  const isClosed = [pooled(first), pooled(second)]
  registry.unreachable(first, 'refused')
  const moved = publish(route([target('i1', 9), target('i2', 2)]))
  expect(isClosed.map((was) => was())).toEqual([true, false])
  expect([claim(moved), claim(moved)]).toContain(first)
  expect(first.target.port).toBe(9)
})

test('the turns go on over a new table', () => {
  const { publish, claim } = createBench()
  const targets = [target('i1', 1), target('i2', 2), target('i3', 3)]
  const order: (string | undefined)[] = []
  for (let turn = 0; turn < 6; turn += 1) order.push(claim(publish(route(targets)))?.instance)
  expect(order).toEqual(['i1', 'i2', 'i3', 'i1', 'i2', 'i3'])
})

test('a limit of requests counts what every loop has under way', () => {
  const { registry, counts, slots, publish, claim } = createBench()
  const lane = publish(route([target('i1', 1)], { inFlightMax: 2 }))
  const slot = slots.i1 ?? 0
  // As another loop's would be, it is in the same memory.
  expect(counts.claim(slot, 2)).toBe(true)
  const one = claim(lane)
  expect(one?.instance).toBe('i1')
  expect(claim(lane)).toBeUndefined()
  counts.release(slot)
  expect(claim(lane)).toBe(one)
  registry.release(one as Upstream)
  expect(counts.total(slot)).toBe(1)
})

test('a place that another loop frees while this one says that it waits is not missed', async () => {
  const buffer = createCountsBuffer(2)
  const bell = { ring() {}, onRing() {} }
  const other = new SharedCounts({ buffer, column: 1, bell })
  /** The other loop looks who waits a moment before this one has said so. */
  class Unlucky extends SharedCounts {
    override wait(slot: number): void {
      other.release(slot)
      other.announceFreed(slot)
      super.wait(slot)
    }
  }
  const bench = createBench(new Unlucky({ buffer, column: 0, bell }))
  const lane = bench.publish(route([target('i1', 1)], { inFlightMax: 1 }))
  expect(other.claim(lane.upstreams[0]?.slot as number, 1)).toBe(true)
  expect(bench.claim(lane)).toBeUndefined()
  const isCalled = new Promise((resolve) => {
    lane.waiting.push({ dispatch: resolve }, 1_000)
  })
  bench.registry.listenForRoom(lane)
  expect(await isCalled).toBe(true)
})

test('while it waits it hears of the instances of the newest table, and of no others', () => {
  const bench = createBench()
  const lane = bench.publish(route([target('i1', 1)], { inFlightMax: 1 }))
  const rung: number[] = []
  const { buffer } = bench
  const bell = { ring: (slot: number) => void rung.push(slot), onRing() {} }
  const other = new SharedCounts({ buffer, column: 1, bell })
  const waiter = {
    dispatch() {
      lane.waiting.push(waiter, 1_000)
      bench.registry.listenForRoom(lane)
    },
  }
  waiter.dispatch()
  bench.publish(route([target('i2', 2)], { inFlightMax: 1 }))
  for (const slot of Object.values(bench.slots)) other.announceFreed(slot)
  expect(rung).toEqual([bench.slots.i2])
})
