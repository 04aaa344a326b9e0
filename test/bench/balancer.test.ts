// What bench:balancer makes of its samples: medians, ratios, aims, tables and the picture.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { cases } from '#bench/balancer/cases.ts'
import { BEGIN, END, sectionOf, withSection } from '#bench/balancer/docs.ts'
import { parseOptions } from '#bench/balancer/options.ts'
import { pictureOf } from '#bench/balancer/picture.ts'
import { childrenOf, processorUs } from '#bench/balancer/process-cpu.ts'
import { nodeFlagsIn, versionIn } from '#bench/balancer/programs.ts'
import { launchOf, type ProxyName, proxyNames } from '#bench/balancer/proxies.ts'
import { failuresOf, textOf } from '#bench/balancer/report.ts'
import {
  aimsOf,
  medianOf,
  ratesOf,
  ratiosOf,
  resultsOf,
  rotated,
  type Sample,
} from '#bench/balancer/results.ts'
import { machineFacts } from '#bench/machine.ts'

const sample = (
  proxy: ProxyName,
  round: number,
  us: number,
  more: Partial<Sample> = {},
): Sample => ({
  case: 'keepalive-64',
  proxy,
  round,
  requests: 1_000,
  seconds: 0.5,
  cpuUs: us * 1_000,
  failed: 0,
  failures: {},
  ...more,
})

// The machine is twice as slow in the second round, for all.
const samples = [
  ...[9, 18, 10].map((us, round) => sample('ours', round, us)),
  ...[10, 20, 20].map((us, round) => sample('haproxy', round, us)),
  ...[12, 24, 12].map((us, round) => sample('nginx', round, us)),
  ...[30, 60, 30].map((us, round) => sample('caddy', round, us)),
]

describe('the samples', () => {
  test('become a median, the least and the most, and a sum of errors', () => {
    const failed = [...samples, sample('ours', 3, 11, { failed: 2 })]
    const [result] = resultsOf(failed)
    expect(result?.proxies.ours).toMatchObject({
      cpuUs: 10.5,
      cpuUsMin: 9,
      cpuUsMax: 18,
      rps: 2_000,
      failed: 2,
    })
    expect(result?.proxies.ours).not.toHaveProperty('p99Ms')
  })

  test('are compared within a round', () => {
    expect(ratiosOf(samples)).toEqual({
      'keepalive-64': { haproxy: 0.9, nginx: 0.75, caddy: 0.3 },
    })
    expect(ratiosOf(samples.filter(({ proxy }) => proxy !== 'ours'))).toEqual({
      'keepalive-64': {},
    })
  })

  test('meet an aim by the better of the two, and say nothing of what was not measured', () => {
    expect(aimsOf(samples).map(({ aim, value, met }) => ({ aim, value, met }))).toEqual([
      { aim: '≤ 0.9', value: 0.9, met: true },
      { aim: '≤ 0.35', value: 0.3, met: true },
    ])
    const large = [sample('ours', 0, 1, { requests: 800 }), sample('haproxy', 0, 1)]
    expect(aimsOf(large.map((each) => ({ ...each, case: 'body-1m' })))).toEqual([
      { name: 'body-1m: requests/s ÷ HAProxy', aim: '≥ 0.9', value: 0.8, met: false },
    ])
  })

  test('decide the rate: a share of the slowest of the fast, or of its own for who has less', () => {
    const capacity = (proxy: ProxyName, requests: number) => sample(proxy, 0, 1, { requests })
    const rates = ratesOf(
      [capacity('haproxy', 1_000), capacity('nginx', 900), capacity('caddy', 500)],
      ['haproxy', 'nginx', 'caddy'],
    )
    expect(Object.fromEntries(rates)).toEqual({ haproxy: 1_080, nginx: 1_080, caddy: 600 })
    expect(Object.fromEntries(ratesOf([capacity('caddy', 500)], ['caddy']))).toEqual({ caddy: 600 })
  })

  test('name what failed, where, and how often', () => {
    const wrong = { failed: 2, failures: { 'wrong body': 2 } }
    const all = [sample('nginx', 0, 1, wrong), sample('nginx', 1, 1, wrong), sample('ours', 0, 1)]
    expect(failuresOf(all)).toEqual({ 'nginx, keepalive-64: wrong body': 4 })
  })

  test('are taken in an order that moves on', () => {
    expect([0, 1, 3, 4].map((by) => rotated('abc'.split(''), by).join(''))).toEqual([
      'abc',
      'bca',
      'abc',
      'bca',
    ])
    expect([medianOf([3, 1, 2]), medianOf([4, 1, 2, 3]), medianOf([])]).toEqual([
      2,
      2.5,
      Number.NaN,
    ])
  })
})

describe('the report', () => {
  const late = { p50Ms: 0.2, p99Ms: 0.9, p999Ms: 1.5, count: 1, meanMs: 1, p90Ms: 1, maxMs: 1 }
  const all = [
    ...samples,
    sample('ours', 0, 1, { case: 'rate', rate: 1_200, latencies: late }),
    sample('haproxy', 0, 1, { case: 'rate', rate: 1_200, latencies: late }),
  ]
  const report = {
    machine: { ...machineFacts(), isPinned: true },
    settings: { rounds: 3, roundsWithoutAim: 3, warmUpMs: 1, ms: 500 },
    versions: { haproxy: '2.6' },
    cases: resultsOf(all),
    ratios: ratiosOf(all),
    aims: aimsOf(all),
    failures: {},
  }

  test('is the same after a way through JSON', () => {
    expect(JSON.parse(JSON.stringify(report))).toEqual(report)
  })

  test('is printed whole', () => {
    const text = textOf(report)
    for (const part of ['pinned; 3 rounds of 0.5 s', 'haproxy 2.6', '9–18', '0.90', 'yes']) {
      expect(text).toContain(part)
    }
    expect(text).not.toMatch(/undefined|NaN/)
    expect(textOf({ ...report, aims: [] })).not.toContain('wanted')
  })

  test('stands in the page between its marks, and again after another run', () => {
    const page = `before\n${BEGIN}\nold\n${END}\nafter\n`
    const once = withSection(page, sectionOf(report))
    expect(once).toContain('| Tucano | 10 | 9–18 |  | 2,000 | 0 |')
    expect(once).toContain('**100 B, 64 connections, by the clock (1200/s Tucano, HAProxy)**')
    expect(once).toContain('| HAProxy | 1 | 1–1 | 1.00 | 2,000 | 0.2 | 0.9 | 1.5 | 0 |')
    expect(once).not.toMatch(/old|undefined|NaN/)
    expect(withSection(once, sectionOf(report))).toBe(once)
    expect(() => withSection('none', 'a')).toThrow(BEGIN)
  })

  test('has its marks in the real page', () => {
    expect(withSection(readFileSync('docs/benchmarks.md', 'utf8'), 'a')).toContain(
      `${BEGIN}\n\na\n`,
    )
  })

  test('is a picture with a bar for each proxy of each case', () => {
    const picture = pictureOf(report.cases)
    expect(picture.match(/<rect x/g)).toHaveLength(6)
    expect(picture).not.toMatch(/undefined|NaN/)
    const opened = picture.match(/<(svg|g|text|title)\b/g) ?? []
    expect(picture.match(/<\/(svg|g|text|title)>/g)).toHaveLength(opened.length)
  })
})

describe('the arguments', () => {
  test('default to a whole run', () => {
    const { isWhole, proxies, times, nodeFlags } = parseOptions([])
    expect({ isWhole, proxies, rounds: times.rounds, ms: times.ms, nodeFlags }).toEqual({
      isWhole: true,
      proxies: proxyNames,
      rounds: 5,
      ms: 2_000,
      nodeFlags: undefined,
    })
    expect(parseOptions([]).cases).toEqual(cases)
    expect(parseOptions(['--json', '--rounds', '7'])).toMatchObject({ json: true, isWhole: true })
    for (const words of [
      ['--quick'],
      ['--only', 'post'],
      ['--seconds', '1'],
      ['--node-flags=-a'],
    ]) {
      expect(parseOptions(words).isWhole).toBe(false)
    }
  })

  test('choose cases, proxies, rounds and flags', () => {
    const words = '--quick --only post,body-1m --proxies nginx,ours --rounds 2 --seconds 0.5'.split(
      ' ',
    )
    const options = parseOptions([...words, '--node-flags=--cpu-prof --max-semi-space-size=8'])
    expect(options.cases.map(({ name }) => name)).toEqual(['body-1m', 'post'])
    expect(options).toMatchObject({
      isWhole: false,
      proxies: ['ours', 'nginx'],
      times: { rounds: 2, roundsWithoutAim: 2, ms: 500, warmUpMs: 100 },
      nodeFlags: ['--cpu-prof', '--max-semi-space-size=8'],
    })
  })

  test.each([
    ['--only', 'all'],
    ['--proxies', 'envoy'],
    ['--rounds', '0'],
    ['--rounds', '1.5'],
    ['--seconds', 'x'],
    ['--slow'],
  ])('are refused: %s %s', (...words) => {
    expect(() => parseOptions(words)).toThrow(expect.objectContaining({ code: 'usage' }))
  })

  test('a peer that is not there is named with the way to get it, and the code is 2', () => {
    const words = ['bench/balancer/main.ts', '--proxies', 'caddy', '--only', 'post']
    const env = { ...process.env, PATH: '/nonexistent' }
    const { status, stderr } = spawnSync(process.execPath, words, { env, encoding: 'utf8' })
    expect(status).toBe(2)
    expect(stderr).toContain('caddy is not on this machine; as root: apt-get install haproxy nginx')
  })
})

describe('each proxy', () => {
  const setting = {
    port: 4_000,
    origins: [4_001, 4_002],
    folder: '/tmp/a',
    user: 'nobody',
    nodeFlags: ['--max-semi-space-size=8'],
  }
  const textFor = (name: ProxyName, accessLog: boolean) => {
    const { command, files } = launchOf(name, { ...setting, accessLog })
    return [...command, ...Object.values(files)].join('\n')
  }

  test.each(proxyNames)('%s is told its port, both programs, and a log or none', (name) => {
    const [without, withLog] = [textFor(name, false), textFor(name, true)]
    for (const port of ['4000', '4001', '4002']) expect(without).toContain(port)
    expect(without).not.toMatch(/\/tmp\/a\/access|log stdout/)
    expect(withLog).toMatch(/\/tmp\/a\/access|log stdout/)
  })

  test('ours is started with the flags of Node, in front of its program', () => {
    const { command } = launchOf('ours', { ...setting, accessLog: false })
    expect(command[1]).toBe('--max-semi-space-size=8')
  })

  test('of ours runs under the flags that its launcher gives to Node', () => {
    const launcher = 'A=2 exec "$node" --max-semi-space-size=1 --import "$here/a.js" "$here/b" "$@"'
    expect(nodeFlagsIn(`#!/bin/sh\n# --not-this\n${launcher}\n`)).toEqual([
      '--max-semi-space-size=1',
    ])
    expect(nodeFlagsIn(readFileSync('bin/tucano_balancer', 'utf8'))).not.toContain('--import')
  })

  test('tells its version in its own words', () => {
    expect(versionIn('HAProxy version 2.6.12-1+deb12u4 2026/10/17')).toBe('2.6.12-1+deb12u4')
    expect(versionIn('nginx version: nginx/1.22.1')).toBe('1.22.1')
    expect(versionIn('')).toBe('unknown')
  })
})

test('processor time is that of a process and all below it', async () => {
  const words = ['-e', 'let n = 0; while (n < 3e8) n++; console.log(n); setInterval(() => {}, 1e6)']
  const shell = spawn('sh', ['-c', '"$0" "$@" & echo started; wait', process.execPath, ...words])
  const before = processorUs(process.pid)
  await once(shell.stdout, 'data')
  const done = new Promise((resolve) => {
    shell.stdout.on('data', (text) => String(text).includes('300000000') && resolve(0))
  })
  await done
  const [program] = childrenOf(shell.pid as number)
  expect(program).toBeDefined()
  expect(processorUs(shell.pid as number)).toBeGreaterThan(50_000)
  expect(processorUs(process.pid)).toBeGreaterThan(before + 50_000)
  process.kill(program as number)
  await once(shell, 'close')
})
