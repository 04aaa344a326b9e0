import { expect, test } from 'vitest'
import { createUpstreams, type Lane, type Pool } from '#ctld/balancer/data-plane/upstreams.ts'
import type { Observation, Route } from '#ctld/ports.ts'
import { route, silentLog, target } from './rig.ts'

function createBench() {
  let now = 0
  const seen: Observation[] = []
  const closed: string[] = []
  const upstreams = createUpstreams<Pool>({
    clock: { now: () => now, wall: () => now, after: () => () => {} },
    dice: { random: () => 0 },
    log: silentLog,
    open: ({ instance, port }) => ({ close: () => void closed.push(`${instance}:${port}`) }),
    tell: (observation) => void seen.push(observation),
  })
  const publish = (...routes: Route[]): Lane<Pool> => {
    const [lane] = upstreams.update({ version: 1, routes })
    if (lane === undefined) throw new Error('no route')
    return lane
  }
  const wait = (ms: number): void => {
    now += ms
  }
  return { upstreams, seen, closed, publish, wait }
}

test('an instance without a connection is skipped for 1, 2, 4, 8 and then 10 seconds', () => {
  const { upstreams, publish, seen, wait } = createBench()
  const lane = publish(route([target('i1', 1), target('i2', 2)]))
  const first = lane.upstreams[0]
  if (first === undefined) throw new Error('no instance')
  const isChosen = () => {
    const chosen = [upstreams.claim(lane, undefined), upstreams.claim(lane, undefined)]
    return chosen.includes(first)
  }
  for (const ms of [1_000, 2_000, 4_000, 8_000, 10_000, 10_000]) {
    upstreams.unreachable(first, 'refused')
    upstreams.unreachable(first, 'refused, at the same moment')
    wait(ms - 1)
    expect(isChosen()).toBe(false)
    wait(1)
    expect(isChosen()).toBe(true)
  }
  expect(seen).toHaveLength(6)
  upstreams.succeeded(first)
  upstreams.unreachable(first, 'refused')
  wait(1_000)
  expect(isChosen()).toBe(true)
})

test('the last one is never skipped, and what was tried is not tried again', () => {
  const { upstreams, publish } = createBench()
  const lane = publish(route([target('i1', 1), target('i2', 2)]))
  for (const upstream of lane.upstreams) upstreams.unreachable(upstream, 'refused')
  const first = upstreams.claim(lane, undefined)
  if (first === undefined) throw new Error('nobody chosen')
  const second = upstreams.claim(lane, new Set([first]))
  expect(second).not.toBe(first)
  expect(upstreams.claim(lane, new Set(lane.upstreams))).toBeUndefined()
})

test('Q22: who left the table is drained when its last request has ended', () => {
  const { upstreams, publish, seen, closed } = createBench()
  const lane = publish(route([target('i1', 1), target('i2', 2)]))
  const busy = upstreams.claim(lane, undefined)
  if (busy === undefined) throw new Error('nobody chosen')
  publish(route([]))
  expect(seen).toEqual([{ kind: 'drained', instance: 'i2' }])
  upstreams.release(busy)
  expect(seen.at(-1)).toEqual({ kind: 'drained', instance: 'i1' })
  expect(closed).toEqual(['i2:2', 'i1:1'])
})

test('Q22: who comes back into the table is not drained', () => {
  const { upstreams, publish, seen } = createBench()
  const busy = upstreams.claim(publish(route([target('i1', 1)])), undefined)
  if (busy === undefined) throw new Error('nobody chosen')
  publish(route([]))
  const again = publish(route([target('i1', 1)]))
  expect(again.upstreams[0]).toBe(busy)
  upstreams.release(busy)
  expect(seen).toEqual([])
})

test('an instance that starts again on another port gets new connections and a new chance', () => {
  const { upstreams, publish, closed } = createBench()
  const lane = publish(route([target('i1', 1), target('i2', 2)]))
  const [first] = lane.upstreams
  if (first === undefined) throw new Error('no instance')
  upstreams.unreachable(first, 'refused')
  const moved = publish(route([target('i1', 9), target('i2', 2)]))
  expect(closed).toEqual(['i1:1'])
  const chosen = [upstreams.claim(moved, undefined), upstreams.claim(moved, undefined)]
  expect(chosen).toContain(first)
  expect(first.target.port).toBe(9)
})

test('the turns go on over a new table', () => {
  const { upstreams, publish } = createBench()
  const targets = [target('i1', 1), target('i2', 2), target('i3', 3)]
  const order: (string | undefined)[] = []
  for (let turn = 0; turn < 6; turn += 1) {
    order.push(upstreams.claim(publish(route(targets)), undefined)?.instance)
  }
  expect(order).toEqual(['i1', 'i2', 'i3', 'i1', 'i2', 'i3'])
})
