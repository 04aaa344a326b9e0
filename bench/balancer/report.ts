// What a run found, as data and as text.

import type { MachineFacts } from '#bench/machine.ts'
import { short, tableOf } from '#bench/table.ts'
import { cases, type Times } from './cases.ts'
import { type ProxyName, proxyNames } from './proxies.ts'
import type { Aim, CaseResult, Figures, Ratios, Sample } from './results.ts'

export type BalancerReport = {
  machine: MachineFacts & { isPinned: boolean }
  settings: Times
  versions: Partial<Record<ProxyName, string>>
  cases: CaseResult[]
  ratios: Ratios
  aims: Aim[]
  /** `haproxy, post: closed by the proxy`, and how often. Empty when every answer was right. */
  failures: Record<string, number>
}

export const LABELS: Record<ProxyName, string> = {
  ours: 'Tucano',
  haproxy: 'HAProxy',
  nginx: 'nginx',
  caddy: 'Caddy',
  former: 'former engine',
}

export function failuresOf(samples: readonly Sample[]): Record<string, number> {
  const counts = new Map<string, number>()
  for (const { proxy, case: name, failures } of samples) {
    for (const [why, count] of Object.entries(failures)) {
      const key = `${proxy}, ${name}: ${why}`
      counts.set(key, (counts.get(key) ?? 0) + count)
    }
  }
  return Object.fromEntries([...counts].sort())
}

export function textOf(report: BalancerReport): string {
  const { machine, settings, versions } = report
  const programs = Object.entries(versions).map(([name, version]) => `${name} ${version}`)
  return [
    `${machine.cores} cores (${machine.cpu}), Node ${machine.node}, load before ` +
      `${machine.loadBefore}, ${machine.isPinned ? 'pinned' : 'not pinned'}; ` +
      `${settings.rounds} rounds of ${settings.ms / 1_000} s`,
    programs.join(', '),
    tableOf(report.cases.flatMap((each) => rowsOf(each, report.ratios))),
    ...(report.aims.length === 0 ? [] : [tableOf(report.aims.map(aimRow))]),
  ].join('\n\n')
}

function aimRow({ name, aim, value, met }: Aim) {
  return { aim: name, wanted: aim, found: short(value), met: met ? 'yes' : 'NO' }
}

export type Row = {
  case: string
  proxy: string
  'CPU µs': number
  spread: string
  'ours ÷': string
  'requests/s': number
  'p50 ms': string
  'p99 ms': string
  'p99.9 ms': string
  errors: number
}

export function rowsOf(result: CaseResult, ratios: Ratios): Row[] {
  return proxyNames.flatMap((proxy) => {
    const figures = result.proxies[proxy]
    if (figures === undefined) return []
    const ratio = ratios[result.name]?.[proxy]
    return [
      {
        case: result.name,
        proxy: LABELS[proxy],
        'CPU µs': short(figures.cpuUs),
        spread: `${short(figures.cpuUsMin)}–${short(figures.cpuUsMax)}`,
        'ours ÷': ratio === undefined ? '' : ratio.toFixed(2),
        'requests/s': Math.round(figures.rps),
        'p50 ms': latency(figures.p50Ms),
        'p99 ms': latency(figures.p99Ms),
        'p99.9 ms': latency(figures.p999Ms),
        errors: figures.failed,
      },
    ]
  })
}

export function titleOf({ name, proxies }: CaseResult): string {
  const title = cases.find((each) => each.name === name)?.title ?? name
  const rate = ratesText(proxies)
  return rate === '' ? title : `${title} (${rate})`
}

function ratesText(proxies: CaseResult['proxies']): string {
  const all = proxyNames.flatMap((proxy) => {
    const rate = proxies[proxy]?.rate
    return rate === undefined ? [] : [{ proxy, rate }]
  })
  const byRate = Map.groupBy(all, ({ rate }) => rate)
  return [...byRate]
    .map(([rate, who]) => `${rate}/s ${who.map(({ proxy }) => LABELS[proxy]).join(', ')}`)
    .join('; ')
}

function latency(ms: Figures['p50Ms']): string {
  return ms === undefined ? '' : String(short(ms))
}
