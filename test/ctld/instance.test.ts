// The whole table of an instance's life, as docs/state-machines.md draws it: every event in every
// state, and what the counters of tries and waits do between.

import { describe, expect, test } from 'vitest'
import {
  type InstanceEvent,
  isFinal,
  isHolding,
  isServing,
  nextInstance,
  START_TRIES_MAX,
  STOP_TRIES_MAX,
} from '#ctld/instance.ts'
import type { FinalState, Instance, InstanceState } from '#shared/model.ts'

const NOW = 1_000_000
const failure = { error: 'exited with code 1' }

const events: { [Kind in InstanceEvent['kind']]: InstanceEvent & { kind: Kind } } = {
  progress: { kind: 'progress', phase: 'building' },
  started: { kind: 'started', port: 20_001, pid: 42, restarts: 0 },
  unhealthy: { kind: 'unhealthy', phase: 'unhealthy', restarts: 0 },
  failed_to_start: { kind: 'failed_to_start', attempt: 1, failure },
  retry: { kind: 'retry', node: 'w2', why: 'try again' },
  admit: { kind: 'admit', why: 'one of 2' },
  withdraw: { kind: 'withdraw', why: 'kept ready' },
  terminated: { kind: 'terminated' },
  cut_off: { kind: 'cut_off', failure },
  crashed: { kind: 'crashed', failure, restarts: 5 },
  killed: { kind: 'killed', failure },
  terminate: { kind: 'terminate', why: 'scaled down', drainMs: 30_000, stopMs: 20_000 },
  drained: { kind: 'drained', why: 'drained', stopMs: 20_000 },
  stop_overdue: { kind: 'stop_overdue', stopMs: 20_000 },
  node_lost: { kind: 'node_lost', why: 'w1 is dead' },
}

type Row = Partial<Record<InstanceEvent['kind'], InstanceState>>

/** Where each event leads; what is not listed changes nothing. */
const table: Record<Exclude<InstanceState, FinalState>, Row> = {
  deploying: {
    progress: 'deploying',
    started: 'started',
    unhealthy: 'deploying',
    cut_off: 'never_started',
    failed_to_start: 'deploying',
    retry: 'deploying',
    terminated: 'deploying',
    crashed: 'deploying',
    killed: 'deploying',
    terminate: 'pre_terminating',
    node_lost: 'lost',
  },
  pre_terminating: {
    progress: 'pre_terminating',
    started: 'terminating',
    failed_to_start: 'never_started',
    terminated: 'never_started',
    cut_off: 'never_started',
    crashed: 'never_started',
    killed: 'never_started',
    stop_overdue: 'pre_terminating',
    node_lost: 'never_started',
  },
  started: {
    started: 'started',
    unhealthy: 'started',
    withdraw: 'started',
    failed_to_start: 'unexpected_crashed',
    terminated: 'unexpected_terminated',
    cut_off: 'terminated',
    crashed: 'unexpected_crashed',
    killed: 'unexpected_crashed',
    terminate: 'terminating',
    node_lost: 'lost',
  },
  terminating: {
    drained: 'terminating',
    failed_to_start: 'crashed',
    terminated: 'terminated',
    cut_off: 'terminated',
    crashed: 'crashed',
    killed: 'crashed',
    stop_overdue: 'terminating',
    node_lost: 'failed_to_terminate',
  },
  lost: {
    progress: 'deploying',
    started: 'started',
    unhealthy: 'started',
    failed_to_start: 'unexpected_crashed',
    terminated: 'unexpected_crashed',
    cut_off: 'terminated',
    crashed: 'unexpected_crashed',
    killed: 'unexpected_crashed',
    terminate: 'failed_to_terminate',
  },
}

const finals: FinalState[] = [
  'failed_to_start',
  'never_started',
  'unexpected_terminated',
  'unexpected_crashed',
  'terminated',
  'crashed',
  'failed_to_terminate',
]

describe.each(Object.entries(table))('S20–S24: %s', (state, row) => {
  const was = instanceIn(state as InstanceState)

  test.each(Object.entries(row))('after %s it is %s', (kind, expected) => {
    const is = nextInstance(was, events[kind as InstanceEvent['kind']], NOW)
    expect(is.state).toBe(expected)
    expect(is).not.toBe(was)
  })

  test.each(Object.keys(events).filter((kind) => !(kind in row)))(
    'S25: %s means nothing to it',
    (kind) => {
      expect(nextInstance(was, events[kind as InstanceEvent['kind']], NOW)).toBe(was)
    },
  )
})

test.each(finals)('S25: %s is final, whatever comes', (state) => {
  const was = instanceIn(state)
  expect(isFinal(was)).toBe(true)
  for (const event of Object.values(events)) expect(nextInstance(was, event, NOW)).toBe(was)
})

test('S20, S21: six tries, with 1, 2, 4, 8 and 16 s between them, then failed_to_start', () => {
  let instance = instanceIn('deploying')
  const waits: number[] = []
  for (let attempt = 1; attempt <= START_TRIES_MAX; attempt += 1) {
    instance = nextInstance(instance, { ...events.failed_to_start, attempt }, NOW)
    if (instance.retryAt === undefined) break
    waits.push(instance.retryAt - NOW)
    instance = nextInstance(instance, events.retry, NOW)
    expect(instance).toMatchObject({ node: 'w2', attempt: attempt + 1 })
    expect(instance.retryAt).toBeUndefined()
  }
  expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000])
  expect(instance).toMatchObject({ state: 'failed_to_start', healthy: false, failure })
  expect(instance.why).toContain('6 times')
})

test('S20: the failure of a former try, or the same one told twice, is not counted', () => {
  const second = { ...instanceIn('deploying'), attempt: 2 }
  expect(nextInstance(second, events.failed_to_start, NOW)).toBe(second)
  const waiting = nextInstance(instanceIn('deploying'), events.failed_to_start, NOW)
  expect(nextInstance(waiting, events.failed_to_start, NOW)).toBe(waiting)
})

test.each(['killed', 'crashed', 'terminated'] as const)(
  'S20: a try that was %s is told with each report, and the next one comes all the same',
  (kind) => {
    const waiting = nextInstance(instanceIn('deploying'), events[kind], NOW)
    expect(waiting.retryAt).toBe(NOW + 1_000)
    expect(nextInstance(waiting, events[kind], NOW + 900)).toBe(waiting)
  },
)

test('S22: stopped between two tries, it never started, and nobody is asked to stop it', () => {
  const waiting = nextInstance(instanceIn('deploying'), events.failed_to_start, NOW)
  const is = nextInstance(waiting, events.terminate, NOW)
  expect(is.state).toBe('never_started')
})

test('S22: told to stop while it starts, it is stopped as soon as it has started', () => {
  const before = nextInstance(instanceIn('deploying'), events.terminate, NOW)
  expect(before).toMatchObject({ state: 'pre_terminating', stopTry: 1 })
  const is = nextInstance(before, events.started, NOW)
  expect(is).toMatchObject({ state: 'terminating', healthy: false, stopTry: 1 })
  expect(nextInstance(is, events.terminated, NOW).state).toBe('terminated')
})

test('S23: it serves only while it is healthy, and keeps its place meanwhile', () => {
  const started = nextInstance(instanceIn('deploying'), events.started, NOW)
  expect([isServing(started), isHolding(started)]).toEqual([true, true])
  const ill = nextInstance(started, events.unhealthy, NOW)
  expect([isServing(ill), isHolding(ill)]).toEqual([false, true])
  expect(nextInstance(ill, events.unhealthy, NOW)).toBe(ill)
  const well = nextInstance(ill, events.started, NOW)
  expect([isServing(well), isHolding(well)]).toEqual([true, true])
  expect(nextInstance(well, events.started, NOW)).toBe(well)
})

test('it has a place in the route table from admit until withdraw, ill or not', () => {
  const outside = nextInstance(instanceIn('started'), events.withdraw, NOW)
  expect(outside).toMatchObject({ state: 'started', admitted: false, why: 'kept ready' })
  const inside = nextInstance(outside, events.admit, NOW)
  expect(inside).toMatchObject({ state: 'started', admitted: true, why: 'one of 2' })
  const ill = nextInstance(inside, events.unhealthy, NOW)
  expect(ill).toMatchObject({ admitted: true, healthy: false })
  expect(nextInstance(ill, events.started, NOW)).toMatchObject({ admitted: true, healthy: true })
})

test.each(['terminate', 'node_lost', 'crashed'] as const)('after %s it has no place', (kind) => {
  const is = nextInstance(instanceIn('started'), events[kind], NOW)
  expect(is.admitted).toBe(false)
  const back = nextInstance(is, events.started, NOW)
  expect(back.admitted).toBe(false)
})

test('it is healthy since its last illness or restart', () => {
  const was = nextInstance(instanceIn('deploying'), events.started, NOW)
  expect(was).toMatchObject({ healthyAt: NOW, admitted: false })
  expect(nextInstance(was, { ...events.started, port: 20_002 }, NOW + 1).healthyAt).toBe(NOW)
  const again = nextInstance(was, { ...events.started, restarts: 1 }, NOW + 1)
  expect(again.healthyAt).toBe(NOW + 1)
  const ill = nextInstance(again, events.unhealthy, NOW + 2)
  expect(ill).not.toHaveProperty('healthyAt')
  expect(nextInstance(ill, events.started, NOW + 3).healthyAt).toBe(NOW + 3)
})

test('S23, S24: told to stop, it drains first; its agent is told when that is over', () => {
  const draining = nextInstance(instanceIn('started'), events.terminate, NOW)
  expect(draining).toMatchObject({ state: 'terminating', stopTry: 0, drainUntil: NOW + 30_000 })
  expect([isServing(draining), isHolding(draining)]).toEqual([false, false])
  const stopping = nextInstance(draining, events.drained, NOW)
  expect(stopping).toMatchObject({ stopTry: 1, stopRetryAt: NOW + 20_000 })
  expect(nextInstance(stopping, events.drained, NOW)).toBe(stopping)
})

test.each(['pre_terminating', 'terminating'] as const)(
  'S24: %s, six tries to stop it, then failed_to_terminate',
  (state) => {
    let instance: Instance = { ...instanceIn(state), stopTry: 1 }
    for (let stopTry = 2; stopTry <= STOP_TRIES_MAX; stopTry += 1) {
      instance = nextInstance(instance, events.stop_overdue, NOW)
      expect(instance).toMatchObject({ state, stopTry })
    }
    expect(nextInstance(instance, events.stop_overdue, NOW).state).toBe('failed_to_terminate')
  },
)

test('S04: how it ended is kept, with what helps to mend it', () => {
  const detail = { error: 'exited with code 3', exit_code: 3, log_tail: ['no such table'] }
  const is = nextInstance(instanceIn('started'), { ...events.crashed, failure: detail }, NOW)
  expect(is).toMatchObject({ failure: detail, restarts: 5, why: 'exited with code 3' })
})

test('Q05: an instance that comes back with its node is taken as it is', () => {
  const lost = nextInstance(instanceIn('started'), events.node_lost, NOW)
  const is = nextInstance(lost, { ...events.started, port: 20_007 }, NOW)
  expect(is).toMatchObject({ id: 'i1', state: 'started', healthy: true, port: 20_007 })
})

function instanceIn(state: InstanceState): Instance {
  return {
    id: 'i1',
    service: 'api',
    revision: 1,
    deployment: 'd1',
    node: 'w1',
    state,
    attempt: 1,
    createdAt: 1,
    changedAt: 1,
    why: 'placed',
    healthy: state === 'started',
    admitted: state === 'started',
    ...(state === 'started' ? { healthyAt: 1 } : {}),
    ...(state === 'started' ? { phase: 'started', port: 20_001, pid: 41 } : {}),
    restarts: 0,
    stopTry: 0,
  }
}
