// The parts of the benchmarks that decide what is printed. No figure is judged here.

import { describe, expect, test } from 'vitest'
import { parseBenchArguments } from '#bench/command.ts'
import { createTally, refuseFailures, sharesOf, sharesText } from '#bench/figures.ts'
import { textOf as idleText } from '#bench/idle.ts'
import { cpuMsOf, machineFacts, memoryOf } from '#bench/machine.ts'
import { aroundKill } from '#bench/node-kill.ts'
import { type NumberFactReport, textOf } from '#bench/number-fact.ts'
import { short, tableOf } from '#bench/table.ts'
import { retold } from '#bench/told-metrics.ts'
import { namesOf } from '#bench/workload.ts'
import type { Instance } from '#shared/model.ts'
import type { Report } from '#shared/wire.ts'

const answer = (ms: number, instance = 'a') => ({ ms, instance, failure: undefined })

test('a table is as wide as its widest cells, numbers to the right', () => {
  const rows = [
    { name: 'one', count: 1 },
    { name: 'a hundred', count: 100 },
  ]
  expect(tableOf(rows)).toBe(
    ['name       count', '---------  -----', 'one            1', 'a hundred    100'].join('\n'),
  )
  expect([1234.5, 123.4, 1.2345, 0.001234].map(short)).toEqual([1235, 123, 1.23, 0.00123])
})

describe('a tally', () => {
  test('of two runs has the percentiles of all their requests, not the mean of both', () => {
    const [both, single] = [createTally(), createTally()]
    for (let ms = 1; ms <= 90; ms++) both.take(answer(1))
    both.took(1)
    for (let ms = 1; ms <= 10; ms++) both.take(answer(1_000))
    both.took(9)
    for (let ms = 1; ms <= 10; ms++) single.take(answer(1_000))
    const { requests, seconds, perSecond, p50Ms, p90Ms, p99Ms } = both.figure()
    expect({ requests, seconds, perSecond }).toEqual({ requests: 100, seconds: 10, perSecond: 10 })
    expect([p50Ms, p90Ms].every((ms) => ms < 1.02)).toBe(true)
    expect(p99Ms).toBe(single.figure().p99Ms)
  })

  test('counts only right answers, by instance', () => {
    const tally = createTally()
    tally.take(answer(1, 'a'))
    for (const _ of [1, 2, 3]) tally.take(answer(1, 'b'))
    tally.take({ ms: 1, instance: 'c', failure: 'status 503' })
    const shares = sharesOf(tally.instances(), (id) => `node-${id}`)
    expect(sharesText(shares)).toBe('node-a 25.0 %, node-b 75.0 %')
    expect(createTally().figure()).toMatchObject({ requests: 0, perSecond: 0, p99Ms: 0 })
  })

  test('refuses a report with a wrong answer, and says which', () => {
    const report = { failed: 2, sent: 9, failures: { 'wrong body': 2 } } as never
    expect(() => refuseFailures(report, 'http://there')).toThrow(
      '2 of 9 answers of http://there are wrong: 2 wrong body',
    )
  })
})

test('around a kill: what failed, who took over, what was under way', () => {
  const result = (at: number, ms: number, more: object) =>
    ({ at, ms, fact: {}, instance: 'old', failure: undefined, ...more }) as never
  const found = aroundKill(
    [
      result(0, 10, {}),
      result(90, 50, {}),
      result(100, 5, { failure: 'ECONNRESET', instance: undefined }),
      result(110, 10, { failure: 'status 502' }),
      result(300, 10, { instance: 'new' }),
    ],
    { killedAt: 100, endedAt: 500, known: new Set(['old']) },
  )
  expect(found).toMatchObject({
    firstFailureMs: 5,
    lastFailureMs: 20,
    replacedMs: 210,
    slowestAcrossMs: 50,
    before: { requests: 1, seconds: 0.1 },
    after: { requests: 2, seconds: 0.4 },
  })
  expect(aroundKill([], { killedAt: 1, endedAt: 2, known: new Set() })).toMatchObject({
    firstFailureMs: null,
    replacedMs: null,
    slowestAcrossMs: 0,
  })
})

test('an instance is called by its node, by a letter too where there are more', () => {
  const of = (id: string, node: string) => ({ id, node }) as Instance
  const names = namesOf([of('1', 'w1'), of('2', 'w2'), of('3', 'w1')])
  expect(Object.fromEntries(names)).toEqual({ 1: 'w1a', 2: 'w2', 3: 'w1b' })
})

test('a report is retold with another load, and its memory free', () => {
  const report = { node: 'w1', metrics: { cpu: 0.5, memory_used: 9, load: 3 } } as Report
  expect(retold(report, { w1: 0.1 }).metrics).toEqual({ cpu: 0.1, memory_used: 0, load: 3 })
  expect(retold(report, { w2: 0.1 })).toBe(report)
  expect(retold({ node: 'w1' } as Report, { w1: 0.1 })).toEqual({ node: 'w1' })
})

test('the arguments: 10 s, quick 2 s, a bound; others are refused', () => {
  expect(parseBenchArguments([])).toEqual({ quick: false, json: false, seconds: 10 })
  expect(parseBenchArguments(['--quick', '--json'])).toMatchObject({ json: true, seconds: 2 })
  expect(parseBenchArguments(['--seconds', '3']).seconds).toBe(3)
  for (const words of [['--seconds', '0'], ['--seconds', '601'], ['--fast'], ['word']]) {
    expect(() => parseBenchArguments(words)).toThrow(expect.objectContaining({ code: 'usage' }))
  }
})

test('memory and processor time of a process come from /proc', () => {
  const { rssMiB, ownMiB, peakMiB } = memoryOf(process.pid)
  expect([rssMiB > ownMiB, peakMiB >= ownMiB, ownMiB > 0]).toEqual([true, true, true])
  expect(Number.isInteger(cpuMsOf(process.pid))).toBe(true)
})

test('a report is printed whole, and is the same after a way through JSON', () => {
  const figure = { requests: 9, seconds: 1, perSecond: 9, p50Ms: 1, p90Ms: 2, p99Ms: 3 }
  const report: NumberFactReport = {
    machine: machineFacts(),
    settings: { seconds: 1, warmUpSeconds: 0.2, connections: 8, workers: 3 },
    cases: [
      {
        instances: 3,
        balance: 'round_robin',
        runs: 2,
        classes: [
          { class: 'easy', balancer: figure, direct: figure, ratio: 1, balancerCpuMs: 0.2 },
        ],
        shares: [{ instance: 'w1', requests: 9, share: 1 }],
      },
    ],
    toldWeights: [
      {
        balance: 'weighted_round_robin',
        figure,
        nodes: [{ node: 'w1', toldCpu: 0.1, weight: 9, requests: 9, share: 1, promised: 1 }],
      },
    ],
    nodeKill: {
      node: 'w3',
      seconds: 3,
      sent: 9,
      failed: 1,
      failures: { ECONNRESET: 1 },
      firstFailureMs: 4,
      lastFailureMs: 5,
      replacedMs: null,
      slowestAcrossMs: 6,
      before: figure,
      after: figure,
      direct: figure,
    },
  }
  expect(JSON.parse(JSON.stringify(report))).toEqual(report)
  const text = textOf(report)
  for (const part of [
    '3 × round_robin (2 runs)',
    'w1 100.0 %',
    'told CPU',
    'w3 killed in mid-run, easy + medium + hard mixed: 1 of 9 failed, from 4 to 5 ms after it',
    'no instance elsewhere before the end; slowest answer across the kill 6 ms',
  ]) {
    expect(text).toContain(part)
  }
  expect(text).not.toContain('undefined')

  const daemon = { daemon: 'agent w1', rssMiB: 1, ownMiB: 2, peakMiB: 3, cpuShare: 0.01234 }
  const idle = { instances: 3, daemons: [daemon] }
  const settings = { seconds: 1, reports: 5, publishInterval: '2s' }
  expect(idleText({ machine: report.machine, settings, figures: [idle] })).toContain('1.23')
})
