// What happened between two looks at counts that only grow.

import { expect, test } from 'vitest'
import {
  type DataPlaneCounters,
  newInstanceCounters,
  newServiceCounters,
} from '#ctld/balancer/data-plane/counters.ts'
import { createSamples, type Look } from '#ctld/meter/samples.ts'
import { figuresOf, ofService, p99Of, shareOf } from '#ctld/meter/tally.ts'
import { noCounters } from '#test/fakes/counters.ts'

const programs: Record<string, number> = { old: 1, new: 2 }
const look = (fresh: string[] = []): Look => ({
  programOf: (_, instance) => programs[instance],
  isNew: (_, instance) => fresh.includes(instance),
})

/** Requests of each instance; a tenth of them failed. */
function counted(requests: Record<string, number>, startedAt = 1_000): DataPlaneCounters {
  const api = newServiceCounters()
  for (const [id, count] of Object.entries(requests)) {
    api.instances[id] = {
      ...newInstanceCounters(),
      requests: count,
      failed: count / 10,
      latency: { 40: count },
    }
    api.requests += count
    api.statuses[200] = (api.statuses[200] ?? 0) + count
  }
  return noCounters({ startedAt, services: { api } })
}

const brief = (sample: ReturnType<ReturnType<typeof createSamples>['take']>) => {
  const one = sample.get('api')
  const of = (program: number) => one?.programs.get(program)?.requests
  return { all: one?.all.requests, old: of(1), new: of(2), from: one?.from, to: one?.to }
}

test('a first look tells nothing but of what cannot have served before', () => {
  const samples = createSamples()
  expect(brief(samples.take(counted({ old: 500 }), look(), 10))).toMatchObject({ all: undefined })
  const later = samples.take(counted({ old: 530, new: 20 }), look(), 20)
  expect(brief(later)).toEqual({ all: 50, old: 30, new: 20, from: 10, to: 20 })
  const again = createSamples()
  expect(brief(again.take(counted({ old: 530, new: 20 }), look(['new']), 20))).toMatchObject({
    old: undefined,
    new: 20,
  })
})

test('an instance that the data plane has forgotten takes nothing back', () => {
  const samples = createSamples()
  samples.take(counted({ old: 500, new: 10 }), look(), 10)
  expect(brief(samples.take(counted({ new: 25 }), look(), 20))).toMatchObject({ new: 15 })
  expect(brief(samples.take(counted({ old: 7, new: 25 }), look(), 30))).toMatchObject({ old: 7 })
})

test('another data plane counts from the start; a loop that took counts along does not', () => {
  const samples = createSamples()
  samples.take(counted({ old: 500 }), look(), 10)
  expect(brief(samples.take(counted({ old: 100 }, 2_000), look(), 20))).toMatchObject({ old: 100 })
  expect(brief(samples.take(counted({ old: 60 }, 2_000), look(), 30)).old).toBeUndefined()
  expect(brief(samples.take(counted({ old: 70 }, 2_000), look(), 40))).toMatchObject({ old: 10 })
})

test('a data plane of a former version, that counts less, breaks nothing', () => {
  const old = counted({ old: 10 })
  const {
    latency: _,
    failed: __,
    ...less
  } = old.services.api?.instances.old ?? newInstanceCounters()
  Object.assign(old.services.api?.instances ?? {}, { old: less })
  const samples = createSamples()
  samples.take(old, look(), 10)
  expect(brief(samples.take(old, look(), 20)).old).toBeUndefined()
})

test('what clients got: errors, and answers that came to no end; who left by himself is none', () => {
  const api = newServiceCounters()
  Object.assign(api, { requests: 20, statuses: { 0: 1, 200: 12, 404: 2, 500: 3, 503: 2 } })
  api.endings = { 'client body': 4, 'instance body': 2, 'instance head': 3 }
  expect(ofService(api)).toMatchObject({ requests: 20, failed: 7 })
})

test('nothing counted is no figure', () => {
  const none = { requests: 0, failed: 0, latencies: {} }
  expect([shareOf(none), p99Of(none), figuresOf(none).p99Ms]).toEqual([0, null, null])
})
