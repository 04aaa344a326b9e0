// What makes a deployment fail, case by case: by what its instances do, and by what users see.

import { describe, expect, test } from 'vitest'
import { bucketOf } from '#ctld/balancer/data-plane/latency.ts'
import { type GuardFigures, guardFault } from '#ctld/deployer/guard.ts'
import { type Case, judge } from '#ctld/deployer/judge.ts'
import { isOnTrial } from '#ctld/deployer/trial.ts'
import type { Tally } from '#ctld/meter/tally.ts'
import type { Deployment, Instance, Service } from '#shared/model.ts'
import { configOf } from '#test/helpers/cluster.ts'

const BEGAN = 1_000
const MINUTE = 60_000
const error = 'exited with code 1'

type Brief = Partial<Instance>
const starting: Brief = { state: 'deploying' }
const tried = (attempt: number): Brief => ({
  ...starting,
  attempt,
  retryAt: 9_000,
  failure: { error },
})
const serving: Brief = { state: 'started', healthy: true, admitted: true }
const crashed = (restarts: number): Brief => ({ ...serving, healthy: false, restarts })
const inBackoff: Brief = { ...crashed(1), phase: 'backoff', failure: { error, log_tail: ['oh'] } }
const old: Brief = { revision: 1, deployment: 'd1', createdAt: 1, changedAt: 1 }

describe('by its instances it', () => {
  const cases: ['go_on' | 'revert', string, Brief[]][] = [
    ['go_on', 'when nothing has happened', []],
    ['go_on', 'when two tries of one failed, and two of another', [tried(2), tried(2)]],
    ['go_on', 'when the third try is under way', [{ ...starting, attempt: 3 }]],
    ['revert', 'when the third try failed', [serving, tried(3)]],
    ['revert', 'when the fourth is under way already', [{ ...starting, attempt: 4 }]],
    ['revert', 'when one was given up', [{ state: 'failed_to_start', attempt: 6 }]],
    ['go_on', 'when a former deployment gave one up', [{ ...tried(6), changedAt: BEGAN - 1 }]],
    [
      'go_on',
      'when one of the old program cannot start',
      [{ ...old, ...tried(6), changedAt: 2_000 }],
    ],
    ['go_on', 'at the first crash', [crashed(1), serving]],
    ['revert', 'at the second crash of one', [crashed(2), serving]],
    ['revert', 'at the first crash of two', [crashed(1), crashed(1)]],
    ['revert', 'when the second one waits for its restart', [inBackoff]],
    ['go_on', 'before the last lines are there', [{ ...inBackoff, failure: { error } }]],
    [
      'revert',
      'when two ended for good',
      [{ state: 'unexpected_crashed', failure: { error } }, { state: 'unexpected_terminated' }],
    ],
    ['go_on', 'when nodes died under them', [{ state: 'lost' }, { state: 'lost' }]],
    [
      'go_on',
      'when two did not come back with their nodes',
      [{ state: 'unexpected_crashed' }, { state: 'unexpected_crashed' }],
    ],
    ['go_on', 'when old ones crash', [{ ...old, ...crashed(5), changedAt: 2_000 }]],
  ]

  test.each(cases)('%s %s', (kind, _, mine) => {
    expect(judge(aCase({ mine }), 3_000).kind).toBe(kind)
  })

  test('the record names the newest failure, with what its user needs', () => {
    const failure = { error, exit_code: 3, last_probe: 'connection refused', log_tail: ['oh'] }
    const mine = [tried(3), { ...tried(3), id: 'i9', node: 'w2', changedAt: 2_500, failure }]
    expect(judge(aCase({ mine }), 3_000)).toEqual({
      kind: 'revert',
      why: `failed to start 3 times on w2: ${error}`,
      failure: { ...failure, instance: 'i9', node: 'w2' },
    })
  })
})

describe('by its deadline of 5 min, and 1 s in which it has to be healthy, it', () => {
  const due = BEGAN + 5 * MINUTE + 1_000
  const progress = { reached: 2, at: BEGAN + MINUTE }
  const endsFirst = {
    update: { min_healthy: '1s', strategy: 'recreate' },
    stop: { drain: '30s', grace: '10s' },
  }
  const cases: [number, string, Partial<Omit<Case, 'mine'>> & { brief?: Brief[] }][] = [
    [due, 'has so long from its beginning', {}],
    [
      due + MINUTE,
      'has so long from when it came further',
      { deployment: deployment({ progress }) },
    ],
    [
      due + 2 * MINUTE,
      'has it anew from the start of a controller',
      { upSince: BEGAN + 2 * MINUTE },
    ],
    [
      due + 30_000,
      'has the pause of a canary on top',
      { service: service({ rollout: { since: 1, step: 0, percent: 10 } }) },
    ],
    [
      due + 40_000,
      'has the time on top in which the old one ends first',
      { service: service({ config: configOf('api', 2, endsFirst) }) },
    ],
    [Infinity, 'has none while it is watched', { deployment: deployment({ state: 'watching' }) }],
    [Infinity, 'has none while an image is built', { brief: [{ ...starting, phase: 'building' }] }],
  ]

  test.each(cases)('until %d: it %s', (until, _, { brief = [starting], ...over }) => {
    const one = aCase({ mine: brief, ...over })
    expect(judge(one, Math.min(until, 1e9) - 1)).toEqual({ kind: 'go_on', wakeAt: until })
    if (until < Infinity) {
      const why = 'no progress within 5m: 0 of 2 healthy'
      expect(judge(one, until)).toMatchObject({ kind: 'revert', why })
    }
  })
})

describe('on trial is', () => {
  const cases: [boolean, string, Partial<Deployment>, Partial<Service>][] = [
    [true, 'a deploy of another program', {}, {}],
    [true, 'a rollback', { kind: 'rollback' }, {}],
    [true, 'a scale while the other program has yet to prove itself', { kind: 'scale' }, {}],
    [false, 'the first deploy', {}, { goodRevision: undefined as never }],
    [false, 'a way back', { kind: 'revert' }, {}],
    [false, 'a stop', { kind: 'stop' }, { desired: 'stopped' }],
    [false, 'the program that worked', {}, { goodRevision: 2 }],
    [
      false,
      'what shall stay as it is',
      {},
      { config: configOf('api', 2, { update: { auto_revert: false } }) },
    ],
  ]

  test.each(cases)('%s: %s', (is, _, one, other) => {
    expect(isOnTrial(deployment(one), service(other))).toBe(is)
  })
})

describe('by what users see', () => {
  const guard = { error_rate: 0.05, p99: '200ms', min_requests: 100, watch: '10s' }
  const none = tally(0)
  const fine = tally(1_000)
  const cases: [string | undefined, string, GuardFigures][] = [
    [undefined, 'all is well', { current: fine, recent: fine, former: fine }],
    [undefined, 'too few came', { current: tally(99, 99), recent: none, former: fine }],
    [
      "20.0 % of its 1000 requests failed, 0.0 % of the former one's",
      'it fails',
      { current: tally(1_000, 200), recent: none, former: fine },
    ],
    [
      '20.0 % of its 1000 requests failed',
      'it fails and nobody is to compare with',
      { current: tally(1_000, 200), recent: none, former: none },
    ],
    [
      undefined,
      'it fails as the other did',
      { current: tally(1_000, 200), recent: none, former: tally(500, 80) },
    ],
    [
      undefined,
      'it fails a little more',
      { current: tally(1_000, 50), recent: none, former: fine },
    ],
    [
      "100.0 % of its 150 requests failed, 0.0 % of the former one's lately",
      'it was well for long',
      { current: tally(100_000, 150), recent: tally(150, 150), former: fine },
    ],
    [
      undefined,
      'it failed for a moment that is no sample',
      { current: fine, recent: tally(99, 99), former: fine },
    ],
    [
      expect.stringMatching(/^99 % of its 1000 requests take up to 3\d\d ms, 1\d ms of/) as never,
      'it is slow',
      { current: tally(1_000, 0, 300), recent: none, former: fine },
    ],
    [
      undefined,
      'it is slow as the other was',
      { current: tally(1_000, 0, 300), recent: none, former: tally(1_000, 0, 300) },
    ],
    [
      undefined,
      'few are slow',
      { current: sum(tally(991), tally(9, 0, 5_000)), recent: none, former: fine },
    ],
  ]

  test.each(cases)('%s: %s', (fault, _, figures) => {
    expect(guardFault(guard, figures)).toEqual(fault)
  })

  test('without a bound nothing is slow, and with a share of 1 nothing fails', () => {
    const { p99: _, ...rest } = guard
    const figures = { current: tally(1_000, 1_000, 9_000), recent: none, former: fine }
    expect(guardFault({ ...rest, error_rate: 1 }, figures)).toBeUndefined()
  })

  test('a deployment goes back by it', () => {
    const figures = { current: tally(1_000, 200), recent: none, former: fine }
    const verdict = judge(aCase({ mine: [serving], figures }), 3_000)
    expect(verdict).toMatchObject({ kind: 'revert', failure: { instance: 'i0', node: 'w1' } })
    expect(judge(aCase({ mine: [serving], figures: undefined }), 3_000).kind).toBe('go_on')
  })
})

function tally(requests: number, failed = 0, ms = 10): Tally {
  return { requests, failed, latencies: { [bucketOf(ms * 1_000)]: requests } }
}

function sum(one: Tally, other: Tally): Tally {
  return {
    requests: one.requests + other.requests,
    failed: one.failed + other.failed,
    latencies: { ...one.latencies, ...other.latencies },
  }
}

function aCase({ mine = [], ...over }: Partial<Omit<Case, 'mine'>> & { mine?: Brief[] }): Case {
  return {
    deployment: deployment({}),
    service: service({}),
    mine: mine.map(instance),
    figures: undefined,
    upSince: 0,
    ...over,
  }
}

function deployment(over: Partial<Deployment>): Deployment {
  const told = { state: 'deploying', why: 'accepted', createdAt: BEGAN } as const
  return { id: 'd2', service: 'api', revision: 2, kind: 'deploy', ...told, ...over }
}

function service(over: Partial<Service>): Service {
  const config = configOf('api', 2, { update: { min_healthy: '1s' } })
  return {
    name: 'api',
    config,
    revision: 2,
    programRevision: 2,
    goodRevision: 1,
    revisions: [1, 2].map((revision) => ({ revision, program: revision, config, at: revision })),
    desired: 'running',
    traffic: { state: 'open' },
    deployment: 'd2',
    createdAt: 1,
    changedAt: BEGAN,
    ...over,
  }
}

function instance(brief: Brief, index: number): Instance {
  return {
    id: `i${index}`,
    service: 'api',
    revision: 2,
    deployment: 'd2',
    node: 'w1',
    state: 'deploying',
    attempt: 1,
    createdAt: BEGAN,
    changedAt: BEGAN + index,
    why: '',
    healthy: false,
    admitted: false,
    restarts: 0,
    stopTry: 0,
    ...brief,
  }
}
