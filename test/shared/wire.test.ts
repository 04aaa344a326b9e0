// Every message between controller and agent, with each of its fields wrong in turn (B2).

import { describe, expect, test } from 'vitest'
import type { z } from 'zod'
import {
  type Assignment,
  ackSchema,
  assignmentSchema,
  INSTANCES_PER_NODE_MAX,
  LOG_LINE_MAX,
  LOG_TAIL_LINES_MAX,
  orderAnswerSchema,
  type Report,
  reportSchema,
} from '#shared/wire.ts'

const report: Report = {
  node: 'w1',
  agent: { version: '0.1.0', boot: 'b-1', session: 's-1' },
  sequence: 1,
  interval_ms: 2_000,
  epoch: 1,
  generation: 1,
  metrics: {
    cpu: 0.5,
    cores: 2,
    load: 0.1,
    memory_total: 100,
    memory_used: 50,
    disk_total: 100,
    disk_used: 50,
    net_rx_per_s: 0,
    net_tx_per_s: 0,
  },
  instances: [
    {
      id: 'i-1',
      service: 'api',
      attempt: 1,
      phase: 'started',
      port: 20_000,
      pid: 4_711,
      restarts: 0,
      usage: { cpu: 0.1, memory: 1_000, processes: 1 },
      failure: {
        error: 'exit code 1',
        exit_code: 1,
        exit_signal: 'SIGKILL',
        last_probe: 'HTTP 503',
        log_tail: ['a line'],
      },
    },
  ],
}

const assignment: Assignment = {
  node: 'w1',
  epoch: 1,
  generation: 1,
  instances: [
    {
      id: 'i-1',
      service: 'api',
      revision: 1,
      attempt: 1,
      want: 'run',
      image: {
        digest: `sha256:${'0'.repeat(64)}`,
        build: [['npm', 'ci']],
        build_timeout_ms: 600_000,
        run: ['node', 'server.js'],
      },
      host_port: 8_080,
      env: { A: 'b' },
      health: {
        path: '/up',
        interval_ms: 5_000,
        timeout_ms: 2_000,
        fall: 3,
        rise: 2,
        start_timeout_ms: 60_000,
      },
      stop: { signal: 'SIGTERM', grace_ms: 20_000 },
    },
  ],
}

const messages: [string, z.ZodType, object][] = [
  ['a report', reportSchema, report],
  ['an assignment', assignmentSchema, assignment],
  ['an ack', ackSchema, { epoch: 1, generation: 1, assignment }],
  ['an answer to an order', orderAnswerSchema, { accepted: true, epoch: 1, generation: 1 }],
]

type Path = (string | number)[]

function pathsOf(value: unknown, path: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [path]
  return [path, ...Object.entries(value).flatMap(([key, held]) => pathsOf(held, [...path, key]))]
}

function changed(message: object, path: Path, change: (holder: never, key: never) => void): object {
  const copy = structuredClone(message)
  let holder: unknown = copy
  for (const key of path.slice(0, -1)) holder = (holder as Record<string, unknown>)[key]
  change(holder as never, path.at(-1) as never)
  return copy
}

describe.each(messages)('%s', (_, schema, message) => {
  const paths = pathsOf(message).filter((path) => path.length > 0)

  test('passes as it is', () => {
    expect(schema.safeParse(message).success).toBe(true)
  })

  test('refuses each field of another type', () => {
    for (const path of paths) {
      for (const wrong of [
        null,
        [[]],
        { not: { this: 1 } },
        Number.NaN,
        Number.POSITIVE_INFINITY,
      ]) {
        const spoilt = changed(message, path, (holder: Record<string, unknown>, key: string) => {
          holder[key] = wrong
        })
        expect(schema.safeParse(spoilt).success, `${path.join('.')} = ${String(wrong)}`).toBe(false)
      }
    }
  })

  test('refuses an unknown key at any depth, but in the environment of a program', () => {
    for (const path of [[], ...paths]) {
      if (path.at(-1) === 'env') continue
      const spoilt = structuredClone(message)
      let holder: unknown = spoilt
      for (const key of path) holder = (holder as Record<string, unknown>)[key]
      if (typeof holder !== 'object' || holder === null || Array.isArray(holder)) continue
      Object.assign(holder, { unheard_of: 1 })
      expect(schema.safeParse(spoilt).success, path.join('.')).toBe(false)
    }
  })

  test('refuses a message that lacks what it must have', () => {
    const optional =
      /\b(metrics|assignment|port|pid|usage|failure|exit_code|exit_signal|last_probe|log_tail|host_port|path|A)$/
    for (const path of paths) {
      if (optional.test(path.join('.')) || typeof path.at(-1) === 'number') continue
      if (/^\d+$/.test(String(path.at(-1)))) continue
      const spoilt = changed(message, path, (holder: Record<string, unknown>, key: string) => {
        delete holder[key]
      })
      expect(schema.safeParse(spoilt).success, path.join('.')).toBe(false)
    }
  })
})

test('F42: metrics that no node can have are refused', () => {
  for (const cpu of [-0.1, 1.1, 1e308, Number.NaN]) {
    const metrics = { ...report.metrics, cpu }
    expect(reportSchema.safeParse({ ...report, metrics }).success, String(cpu)).toBe(false)
  }
})

test('S14: every list and text of a report has a limit', () => {
  const instance = report.instances[0]
  const tooMany = Array.from({ length: INSTANCES_PER_NODE_MAX + 1 }, () => instance)
  expect(reportSchema.safeParse({ ...report, instances: tooMany }).success).toBe(false)
  const told = (log_tail: string[]) =>
    reportSchema.safeParse({
      ...report,
      instances: [{ ...instance, failure: { error: 'x', log_tail } }],
    }).success
  expect(told(Array.from({ length: LOG_TAIL_LINES_MAX }, () => 'x'.repeat(LOG_LINE_MAX)))).toBe(
    true,
  )
  expect(told(Array.from({ length: LOG_TAIL_LINES_MAX + 1 }, () => 'x'))).toBe(false)
  expect(told(['x'.repeat(LOG_LINE_MAX + 1)])).toBe(false)
})
