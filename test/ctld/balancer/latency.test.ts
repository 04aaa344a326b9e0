// The buckets in which an instance's answers are counted: how true what is read from them is.

import { expect, test } from 'vitest'
import { sumOf } from '#ctld/balancer/data-plane/counters.ts'
import {
  bucketOf,
  countOf,
  floorOf,
  LATENCY_BUCKETS,
  latenciesOf,
  latencyAt,
  newBuckets,
} from '#ctld/balancer/data-plane/latency.ts'
import { busyCounters } from '#test/fakes/counters.ts'
import { forEachSeed } from '#test/helpers/seeds.ts'

test('each bucket begins where the one before ends, and the last takes all that is longer', () => {
  for (let bucket = 0; bucket < LATENCY_BUCKETS; bucket += 1) {
    expect(bucketOf(floorOf(bucket))).toBe(bucket)
    if (bucket > 0) expect(bucketOf(floorOf(bucket) - 1)).toBe(bucket - 1)
  }
  expect(bucketOf(0.7)).toBe(0)
  expect(bucketOf(1e15)).toBe(LATENCY_BUCKETS - 1)
  expect(bucketOf(Number.POSITIVE_INFINITY)).toBe(LATENCY_BUCKETS - 1)
})

test(
  'a quantile is true within 5 %',
  forEachSeed(200, (random) => {
    const buckets = newBuckets()
    const scale = 10 ** random.int(2, 6)
    const all = Array.from({ length: random.int(200, 2_000) }, () => {
      const us = scale * (0.1 + random.random() ** 3)
      const bucket = bucketOf(us)
      buckets[bucket] = (buckets[bucket] ?? 0) + 1
      return us
    }).toSorted((a, b) => a - b)
    const latencies = latenciesOf(buckets)
    expect(countOf(latencies)).toBe(all.length)
    for (const share of [0.5, 0.9, 0.99]) {
      const exact = all[Math.ceil(share * all.length) - 1] ?? 0
      const read = latencyAt(latencies, share) ?? 0
      expect(Math.abs(read - exact) / exact).toBeLessThan(0.05)
    }
  }),
)

test('nothing counted has no quantile', () => {
  expect(latencyAt({}, 0.99)).toBeNull()
})

test('what several loops counted adds up bucket by bucket', () => {
  const one = busyCounters()
  const instance = one.services.api?.instances['i-1']
  if (instance === undefined) throw new Error('the fake has it')
  Object.assign(instance, { failed: 2, latency: { 40: 3 } })
  const other = structuredClone(one)
  Object.assign(other.services.api?.instances['i-1'] ?? {}, {
    failed: 1,
    latency: { 40: 1, 50: 5 },
  })
  const sum = sumOf([one, other]).services.api?.instances['i-1']
  expect(sum).toMatchObject({ failed: 3, latency: { 40: 4, 50: 5 } })
})
