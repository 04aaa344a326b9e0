import { expect, test } from 'vitest'
import { Attempts, TRIES_MS_MAX } from '#ctld/balancer/data-plane/loop/attempts.ts'
import { newLane, newUpstream } from '#ctld/balancer/data-plane/loop/upstream.ts'
import type { Failure } from '#ctld/balancer/data-plane/loop/verdict.ts'
import { route, target } from '#test/ctld/balancer/rig.ts'

const refused: Failure = { kind: 'lost', wasSent: false, wasReused: false, error: 'ECONNREFUSED' }
const at = target('i1', 1)

function attempts() {
  const lane = newLane(route([at]))
  return { lane, upstream: newUpstream(at, lane, 0), attempts: new Attempts(lane) }
}

test('no other try is begun when the request has been tried for too long', () => {
  const late = attempts()
  const is = { repeatable: true, now: 0, triedForMs: TRIES_MS_MAX + 1 }
  expect(late.attempts.after(refused, late.upstream, is)).toMatchObject({ status: 503 })
  expect(late.lane.tally.counters.retries).toBe(0)

  const early = attempts()
  const before = { ...is, triedForMs: TRIES_MS_MAX }
  expect(early.attempts.after(refused, early.upstream, before)).toBe('another')
  expect(early.lane.tally.counters.retries).toBe(1)
})
