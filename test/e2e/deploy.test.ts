// The benchmark of deploys in its shortened form: what is done to a service under load, from real
// clients on connections that stay and on new ones, must not cost one of them a request.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CASES } from '#bench/deploy/cases.ts'
import { type CaseResult, runCase } from '#bench/deploy/run-case.ts'
import { short, tableOf } from '#bench/table.ts'
import { type RealCluster, startCluster } from '#test/helpers/real-cluster.ts'

const SIZE = { requests: 20_000, rate: 2_000 }

describe('under load from clients that count', () => {
  const results: CaseResult[] = []
  let cluster: RealCluster

  beforeAll(async () => {
    // Long enough for an agent on a machine that is busy with the load.
    cluster = await startCluster({ workers: 3, extra: 'health: { liveness_timeout: 20s }' })
  })

  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]()
    const rows = results.map(({ case: name, changes, requests, failed, p99Ms }) => ({
      case: name,
      changes,
      requests,
      failed,
      'p99 before': short(p99Ms.before),
      during: short(p99Ms.during),
      after: short(p99Ms.after),
    }))
    console.log(`\n${tableOf(rows)}\n`)
  })

  test.each(CASES)('F37: $name: no request fails', { timeout: 120_000 }, async (one) => {
    const result = await runCase(cluster, one, SIZE)
    results.push(result)
    expect(result.failures).toEqual({})
    expect(result.failed).toBe(0)
    expect(result.requests).toBeGreaterThanOrEqual(SIZE.requests)
  })
})
