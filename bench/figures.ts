// What loads of one kind have in common: requests, time and latencies, added up over all runs of
// the same case. Latencies are merged as counts in buckets, so a percentile of two runs is one of
// all their requests, not a mean of two percentiles.

import { createLatencies } from './latencies.ts'
import { type LoadOptions, type LoadReport, type LoadResult, runLoad } from './load.ts'
import { short } from './table.ts'

export type Figure = {
  requests: number
  seconds: number
  perSecond: number
  p50Ms: number
  p90Ms: number
  p99Ms: number
}

export type Tally = {
  take(result: Pick<LoadResult, 'ms' | 'instance' | 'failure'>): void
  took(seconds: number): void
  figure(): Figure
  /** Right answers by the instance that gave them. */
  instances(): ReadonlyMap<string, number>
}

export function createTally(): Tally {
  const latencies = createLatencies()
  const instances = new Map<string, number>()
  let seconds = 0
  return {
    take({ ms, instance, failure }) {
      if (failure !== undefined) return
      latencies.add(ms)
      if (instance !== undefined) instances.set(instance, (instances.get(instance) ?? 0) + 1)
    },
    took(more) {
      seconds += more
    },
    figure() {
      const { count, p50Ms, p90Ms, p99Ms } = latencies.summary()
      return {
        requests: count,
        seconds: short(seconds),
        perSecond: short(seconds === 0 ? 0 : count / seconds),
        p50Ms: short(p50Ms),
        p90Ms: short(p90Ms),
        p99Ms: short(p99Ms),
      }
    },
    instances: () => instances,
  }
}

/** Loads and adds what came; throws if a single answer was not 200 with the golden body. */
export async function loadInto(tally: Tally, options: LoadOptions): Promise<void> {
  const report = await runLoad({ ...options, onResult: (result) => tally.take(result) })
  refuseFailures(report, options.url)
  tally.took(report.seconds)
}

export function refuseFailures(report: LoadReport, where: string): void {
  if (report.failed === 0) return
  const kinds = Object.entries(report.failures).map(([kind, count]) => `${count} ${kind}`)
  throw new Error(`${report.failed} of ${report.sent} answers of ${where} are wrong: ${kinds}`)
}

export type Share = { instance: string; requests: number; share: number }

/** Sorted by name. `nameOf`: what an instance is called in the table. */
export function sharesOf(
  counts: ReadonlyMap<string, number>,
  nameOf: (instance: string) => string,
): Share[] {
  const all = [...counts.values()].reduce((sum, count) => sum + count, 0)
  return [...counts]
    .map(([instance, requests]) => ({
      instance: nameOf(instance),
      requests,
      share: requests / all,
    }))
    .sort((left, right) => (left.instance < right.instance ? -1 : 1))
}

/** `w1 33.3 %, w2 …` */
export function sharesText(shares: readonly Share[]): string {
  return shares.map(({ instance, share }) => `${instance} ${percent(share)}`).join(', ')
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`
}
