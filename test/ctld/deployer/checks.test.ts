// Which check stands for which, as the agent is told.

import { expect, test } from 'vitest'
import { checksOf, healthOf, partitionOf } from '#ctld/deployer/checks.ts'
import { isProgramChange } from '#ctld/revision.ts'
import { wireChecks } from '#shared/wire-checks.ts'
import { configOf } from '#test/helpers/cluster.ts'

const health = { path: '/health', interval: '5s', timeout: '2s', fall: 3, rise: 2 }
const of = (keys: object) => checksOf(configOf('api', 1, keys))
const tcp = { tcp: true }
const GET = {
  kind: 'http',
  path: '/health',
  status: [[200, 399]],
  headers: {},
  answer_headers: {},
  answer_body: [],
}
const numbers = { interval_ms: 5_000, timeout_ms: 2_000 }

test('health alone is the one check, as it always was', () => {
  expect(of({})).toBeUndefined()
  expect(of({ health })).toBeUndefined()
  expect(of({ health, checks: {} })).toBeUndefined()
  expect(healthOf(configOf('api', 1, { health }))).toEqual({
    health: { path: '/health', ...numbers, fall: 3, rise: 2, start_timeout_ms: 60_000 },
  })
})

test('what checks do not name is what health.path says; liveness then is as patient as before', () => {
  expect(of({ health, checks: { readiness: tcp } })).toEqual({
    readiness: { way: { kind: 'tcp' }, ...numbers, rise: 2, fall: 3 },
    liveness: { way: GET, ...numbers, rise: 1, fall: 9 },
  })
  expect(of({ health, checks: { liveness: tcp } })).toEqual({
    readiness: { way: GET, ...numbers, rise: 2, fall: 3 },
    liveness: { way: { kind: 'tcp' }, ...numbers, rise: 1, fall: 3 },
  })
  expect(of({ health, checks: { startup: tcp } })).toEqual({
    startup: { way: { kind: 'tcp' }, ...numbers, rise: 1 },
    readiness: { way: GET, ...numbers, rise: 2, fall: 3 },
    liveness: { way: GET, ...numbers, rise: 1, fall: 9 },
  })
})

test('without health.path readiness is what is given, and liveness is asked only when named', () => {
  const command = { command: ['bin/check', '--live'] }
  const way = { kind: 'command', argv: ['bin/check', '--live'] }
  expect(of({ checks: { readiness: tcp } })).toEqual({
    readiness: { way: { kind: 'tcp' }, ...numbers, rise: 2, fall: 3 },
  })
  // A program that listens nowhere has no other readiness than that it lives.
  expect(of({ checks: { liveness: command } })).toEqual({
    readiness: { way, ...numbers, rise: 2, fall: 3 },
    liveness: { way, ...numbers, rise: 1, fall: 3 },
  })
  expect(of({ checks: { startup: command } })).toMatchObject({
    startup: { way, rise: 1 },
    readiness: { way },
  })
})

test('numbers of their own go before those of health', () => {
  const own = { tcp: true, interval: '1s', timeout: '300ms', rise: 4, fall: 5 }
  const told = { way: { kind: 'tcp' }, interval_ms: 1_000, timeout_ms: 300, rise: 4, fall: 5 }
  expect(
    of({
      health: { interval: '9s', fall: 9 },
      checks: { startup: own, readiness: own, liveness: own },
    }),
  ).toEqual({
    startup: told,
    readiness: told,
    liveness: told,
  })
})

test('statuses and texts are told as the agent compares them', () => {
  const http = { path: '/r', status: [204, '300-308'], answer_body: 'ok' }
  const told = of({ checks: { readiness: { http } } })
  expect(told?.readiness.way).toMatchObject({
    status: [
      [204, 204],
      [300, 308],
    ],
    answer_body: ['ok'],
  })
  expect(wireChecks.parse(told)).toEqual(told)
})

test('other checks are another program; another on_partition is not', () => {
  const was = configOf('api', 1, { checks: { readiness: tcp } })
  expect(isProgramChange(was, configOf('api', 1, { checks: { liveness: tcp } }))).toBe(true)
  expect(isProgramChange(was, configOf('api', 1, {}))).toBe(true)
  const stops = configOf('api', 1, {
    checks: { readiness: tcp },
    on_partition: { stop_after: '30s' },
  })
  expect(isProgramChange(was, stops)).toBe(false)
  expect(partitionOf(stops)).toEqual({ partition_stop_ms: 30_000 })
  expect(partitionOf(was)).toEqual({})
  expect(partitionOf(configOf('api', 1, { on_partition: 'keep' }))).toEqual({})
})
