// What the samples say: medians and spread of each case and proxy, our figure divided by each
// peer's, and whether the aims are met. Ratios are taken within a round, where both were measured
// in the same minute, and then the median of the rounds.

import { CALIBRATION, RATE_SHARE } from './cases.ts'
import type { Found } from './load/job.ts'
import type { ProxyName } from './proxies.ts'

export type Sample = Found & { case: string; proxy: ProxyName; round: number; rate?: number }

export type Figures = {
  /** Processor time of a request or a message; the median of the rounds, the least, the most. */
  cpuUs: number
  cpuUsMin: number
  cpuUsMax: number
  rps: number
  rpsMin: number
  rpsMax: number
  failed: number
  /** Only by the clock: what was asked for, and latencies from the moment a request was due. */
  rate?: number
  p50Ms?: number
  p99Ms?: number
  p999Ms?: number
}

export type CaseResult = { name: string; proxies: Partial<Record<ProxyName, Figures>> }
export type Ratios = Record<string, Partial<Record<ProxyName, number>>>
export type Aim = { name: string; aim: string; value: number; met: boolean }

/** Those whose capacity decides the rate; the others may have less than is asked of these. */
const FAST: readonly ProxyName[] = ['ours', 'haproxy', 'nginx']

export function resultsOf(samples: readonly Sample[]): CaseResult[] {
  return [...Map.groupBy(samples, (sample) => sample.case)].map(([name, mine]) => ({
    name,
    proxies: Object.fromEntries(
      [...Map.groupBy(mine, ({ proxy }) => proxy)].map(([proxy, of]) => [proxy, figuresOf(of)]),
    ),
  }))
}

function figuresOf(samples: readonly Sample[]): Figures {
  const cpuUs = samples.map(cpuOf)
  const rps = samples.map(rpsOf)
  const latencies = samples.flatMap((sample) => sample.latencies ?? [])
  const rate = samples[0]?.rate
  return {
    cpuUs: medianOf(cpuUs),
    cpuUsMin: Math.min(...cpuUs),
    cpuUsMax: Math.max(...cpuUs),
    rps: medianOf(rps),
    rpsMin: Math.min(...rps),
    rpsMax: Math.max(...rps),
    failed: samples.reduce((sum, { failed }) => sum + failed, 0),
    ...(rate === undefined ? {} : { rate }),
    ...(latencies.length === 0
      ? {}
      : {
          p50Ms: medianOf(latencies.map(({ p50Ms }) => p50Ms)),
          p99Ms: medianOf(latencies.map(({ p99Ms }) => p99Ms)),
          p999Ms: medianOf(latencies.map(({ p999Ms }) => p999Ms)),
        }),
  }
}

/** Ours divided by each peer's, processor time per request. Empty without ours. */
export function ratiosOf(samples: readonly Sample[]): Ratios {
  return Object.fromEntries(
    [...Map.groupBy(samples, (sample) => sample.case)].map(([name, mine]) => {
      const peers = new Set(mine.map(({ proxy }) => proxy).filter((proxy) => proxy !== 'ours'))
      const pairs = [...peers].flatMap((peer) => {
        const ratio = pairedRatio(mine, 'ours', peer, cpuOf)
        return ratio === undefined ? [] : [[peer, ratio] as const]
      })
      return [name, Object.fromEntries(pairs)]
    }),
  )
}

/** The aims that the samples can speak of. */
export function aimsOf(samples: readonly Sample[]): Aim[] {
  const ratios = ratiosOf(samples)
  const better = (name: string): number | undefined => {
    const { haproxy, nginx } = ratios[name] ?? {}
    return haproxy === undefined || nginx === undefined ? undefined : Math.max(haproxy, nginx)
  }
  const large = samples.filter((sample) => sample.case === 'body-1m')
  const of = 'CPU per request ÷ the better of HAProxy and nginx'
  return [
    atMost(`${CALIBRATION}: ${of}`, 0.9, better(CALIBRATION)),
    atMost(`keepalive-8: ${of}`, 1, better('keepalive-8')),
    atMost(`keepalive-256: ${of}`, 1, better('keepalive-256')),
    atMost(`${CALIBRATION}: CPU per request ÷ Caddy`, 0.35, ratios[CALIBRATION]?.caddy),
    atMost(`new-connection: ${of}`, 1.3, better('new-connection')),
    atLeast('body-1m: requests/s ÷ HAProxy', 0.9, pairedRatio(large, 'ours', 'haproxy', rpsOf)),
  ].flat()
}

function atMost(name: string, limit: number, value: number | undefined): Aim[] {
  return value === undefined ? [] : [{ name, aim: `≤ ${limit}`, value, met: value <= limit }]
}

function atLeast(name: string, limit: number, value: number | undefined): Aim[] {
  return value === undefined ? [] : [{ name, aim: `≥ ${limit}`, value, met: value >= limit }]
}

function pairedRatio(
  samples: readonly Sample[],
  one: ProxyName,
  other: ProxyName,
  figure: (sample: Sample) => number,
): number | undefined {
  const ratios = samples.flatMap((sample) => {
    if (sample.proxy !== one) return []
    const peer = samples.find(({ proxy, round }) => proxy === other && round === sample.round)
    return peer === undefined ? [] : [figure(sample) / figure(peer)]
  })
  return ratios.length === 0 ? undefined : medianOf(ratios)
}

/**
 * Requests per second for the case by the clock: the same for all, a share of what the slowest of
 * the fast ones can do; who can do less than those is asked for the same share of what it can.
 */
export function ratesOf(
  samples: readonly Sample[],
  proxies: readonly ProxyName[],
): Map<ProxyName, number> {
  const capacity = new Map(
    proxies.map((proxy) => {
      const own = samples.filter((sample) => sample.case === CALIBRATION && sample.proxy === proxy)
      return [proxy, medianOf(own.map(rpsOf))]
    }),
  )
  const fast = FAST.flatMap((proxy) => capacity.get(proxy) ?? [])
  const common = Math.min(...fast)
  return new Map(
    [...capacity].map(([proxy, own]) => [
      proxy,
      Math.round(RATE_SHARE * (FAST.includes(proxy) ? common : Math.min(common, own))),
    ]),
  )
}

export function rotated<T>(all: readonly T[], by: number): T[] {
  const start = by % all.length
  return [...all.slice(start), ...all.slice(0, start)]
}

export function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right)
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

function cpuOf({ cpuUs, requests }: Sample): number {
  return cpuUs / requests
}

function rpsOf({ requests, seconds }: Sample): number {
  return requests / seconds
}
