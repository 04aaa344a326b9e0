// tucano balancer: what the balancer carries, by service, or by instance of one service.

import { TucanoError } from '#shared/errors.ts'
import type { BalancerAnswer, BalancerService } from './answers.ts'
import type { Command, Context } from './command.ts'
import type { Cell, Column } from './table.ts'
import { trafficLines } from './traffic.ts'
import { since } from './words.ts'

const right = (title: string): Column => ({ title, align: 'right' })

const columns: readonly Column[] = [
  { title: 'SERVICE', least: 8 },
  ...['REQUESTS', 'ERRORS', 'RETRIES', 'IN FLIGHT', 'WAITING', 'P50', 'P99'].map(right),
]
const wideColumns: readonly Column[] = [
  ...['P90', 'FIRST BYTE P50', 'FIRST BYTE P99', 'QUEUE P99', 'QUEUED'].map(right),
  { title: 'STATUSES' },
  { title: 'ENDINGS' },
]
const instanceColumns: readonly Column[] = [
  { title: 'INSTANCE' },
  { title: 'NODE', least: 8 },
  ...['REQUESTS', 'IN FLIGHT', 'ERRORS', 'REUSED', 'OPEN', 'EJECTED'].map(right),
]
const wideInstanceColumns: readonly Column[] = [
  ...['CONNECTS', 'REFUSED', 'BROKEN', 'DIED', 'IDLE', 'CONNECT P50', 'CONNECT P99'].map(right),
]

export const balancer: Command = {
  name: 'balancer',
  summary: 'Requests, errors and times by service',
  words: '[SERVICE]',
  options: [],
  details: `Counted since the balancer started. P50 and P99: half and 99 % of the requests
took no longer, from the request to the end of its answer. ERRORS are answers
with status 500 or above; of an instance: connections that it refused, answers
that broke off. OPEN: connections to it. --wide shows more.`,
  async run(context) {
    const [name] = context.words
    const answer = await (await context.client()).get<BalancerAnswer>('/v1/balancer')
    if (name === undefined) return showAll(context, answer)
    const service = answer.services.find((one) => one.service === name)
    if (service !== undefined) return showOne(context, service)
    throw new TucanoError('not_found', `the balancer has no service ${name}`)
  },
}

function showAll({ screen, now }: Context, answer: BalancerAnswer): number {
  if (screen.json) {
    screen.object(answer)
    return 0
  }
  const { services, connections, rejected, loops, startedAt, tableVersion } = answer
  if (services.length === 0) screen.line('no service is routed')
  else {
    const rows = services.map((service) => [
      ...rowOf(service),
      ...(screen.wide ? wideRowOf(service) : []),
    ])
    screen.table(screen.wide ? [...columns, ...wideColumns] : columns, rows)
  }
  screen.line()
  const open = `${connections.open} open connections`
  const refused = connections.refused === 0 ? '' : `, ${connections.refused} refused`
  const unrouted = Object.values(rejected).reduce((sum, one) => sum + one, 0)
  const lost =
    unrouted === 0 ? '' : `, ${unrouted} requests of no service (${countsText(rejected)})`
  screen.line(`${open}${refused}${lost}`)
  screen.line(
    `counts for ${since(startedAt, now())}, in ${loops} ${loops === 1 ? 'loop' : 'loops'}; ` +
      `route table ${tableVersion}`,
  )
  for (const line of trafficLines(knownOf(services), now())) screen.line(line)
  return 0
}

function showOne({ screen, now }: Context, service: BalancerService): number {
  if (screen.json) {
    screen.object(service)
    return 0
  }
  screen.table(columns, [rowOf(service)])
  screen.line()
  if (service.instances.length === 0) screen.line('no instance had requests')
  else {
    const rows = service.instances.map((instance): Cell[] => {
      const { connectErrors, responseErrors, connect } = instance
      const row = [
        screen.wide ? instance.instance : instance.instance.slice(-8),
        instance.node ?? 'gone',
        String(instance.requests),
        String(instance.inFlight),
        errorCell(connectErrors + responseErrors),
        String(instance.reuses),
        String(instance.openConnections),
        String(instance.ejections),
      ]
      const { connectAttempts, reuseDeaths, idleConnections } = instance
      const more = [connectAttempts, connectErrors, responseErrors, reuseDeaths, idleConnections]
      const wide = [...more.map(String), msText(connect.p50), msText(connect.p99)]
      return screen.wide ? [...row, ...wide] : row
    })
    screen.table(screen.wide ? [...instanceColumns, ...wideInstanceColumns] : instanceColumns, rows)
  }
  const statuses = countsText(service.statuses)
  const endings = countsText(service.endings)
  if (statuses !== '') screen.line(`statuses: ${statuses}`)
  if (endings !== '') screen.line(`did not end well: ${endings}`)
  for (const line of trafficLines(knownOf([service]), now())) screen.line(line)
  return 0
}

function rowOf(service: BalancerService): Cell[] {
  const { requests, errors, retries, inFlight, waiting, total } = service
  return [
    service.service,
    String(requests),
    errorCell(errors),
    String(retries),
    String(inFlight),
    waiting > 0 ? { text: String(waiting), tone: 'warn' } : '0',
    msText(total.p50),
    msText(total.p99),
  ]
}

function wideRowOf({ total, firstByte, queue, ...service }: BalancerService): Cell[] {
  return [
    ...[total.p90, firstByte.p50, firstByte.p99, queue.p99].map(msText),
    String(service.queued),
    countsText(service.statuses),
    countsText(service.endings),
  ]
}

function errorCell(count: number): Cell {
  return count > 0 ? { text: String(count), tone: 'bad' } : '0'
}

/** `200 94, 502 2`: the most frequent first. */
function countsText(counts: Record<string, number>): string {
  const sorted = Object.entries(counts).sort(([, a], [, b]) => b - a)
  return sorted
    .map(([what, count]) => `${what === '0' ? 'client left' : what}: ${count}`)
    .join(', ')
}

/** `0.76 ms`, `45 ms`, `2.5 s`; empty where nothing was counted. */
function msText(ms: number | null): string {
  if (ms === null) return ''
  if (ms >= 1_000) return `${(ms / 1_000).toFixed(1)} s`
  return `${ms < 10 ? ms.toFixed(2) : Math.round(ms)} ms`
}

/** Those that are still configured. */
function knownOf(services: readonly BalancerService[]) {
  return services.flatMap(({ service, traffic }) =>
    traffic === null ? [] : [{ name: service, traffic }],
  )
}
