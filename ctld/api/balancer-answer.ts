// What the data plane counted as the API tells it: one record for each service, with quantiles
// instead of histograms, and one for each of its instances.

import { z } from 'zod'
import { latencyAt, newServiceCounters } from '#ctld/balancer/balancer.ts'
import type {
  DataPlaneCounters,
  Histogram,
  InstanceCounters,
  ServiceCounters,
} from '#ctld/balancer/data-plane/counters.ts'
import type { Snapshot } from '#ctld/snapshot.ts'
import { compare } from '#shared/compare.ts'
import { serviceSummaryAnswer } from './answers.ts'
import { quantileMs } from './quantile.ts'
import { summarize } from './service-summary.ts'

const US_PER_MS = 1_000

const count = z.number().min(0)
const counts = z.record(z.string(), count)
const ms = z.number().min(0).nullable().describe('Milliseconds; null: nothing was counted')
const times = z.strictObject({ p50: ms, p90: ms, p99: ms })

const instanceAnswer = z.strictObject({
  instance: z.string(),
  node: z.string().nullable().describe('null: the controller has forgotten it'),
  requests: count,
  inFlight: count,
  connectAttempts: count,
  connectErrors: count,
  reuses: count.describe('Requests on a kept connection'),
  reuseDeaths: count.describe('Kept connections that died under a request'),
  responseErrors: count,
  failed: count.describe('Requests that it answered with 5xx, or not to the end'),
  idleConnections: count,
  openConnections: count,
  ejections: count,
  connect: times,
  answer: times.describe('From its being given a request to the first byte of its answer'),
})

const serviceAnswer = z.strictObject({
  service: z.string(),
  traffic: serviceSummaryAnswer.shape.traffic
    .nullable()
    .describe('null: it is no longer configured'),
  requests: count,
  statuses: counts.describe('Requests by status; 101: tunnels, 0: the client left'),
  errors: count.describe('Those with a status of 500 or above'),
  endings: counts.describe('Requests that did not end well: `client body`, `instance head` …'),
  retries: count,
  retriesDenied: count,
  queued: count,
  waiting: count,
  inFlight: count,
  bytesIn: count,
  bytesOut: count,
  total: times.describe("From a request's head to its answer's end"),
  firstByte: times,
  queue: times,
  instances: z.array(instanceAnswer),
})

export const balancerAnswer = z.strictObject({
  startedAt: z.number().describe('Since when it counts, ms since 1970'),
  tableVersion: z.number().describe('The route table in force'),
  loops: count,
  connections: z.strictObject({ accepted: count, open: count, refused: count }),
  rejected: counts.describe('Requests that belong to no service, by status'),
  services: z.array(serviceAnswer),
})

/** Services that have a route or had requests, sorted by name. */
export function balancerAnswerOf(
  counters: DataPlaneCounters,
  snapshot: Snapshot,
): z.output<typeof balancerAnswer> {
  const { startedAt, tableVersion, loops, connections, rejected } = counters
  const traffic = new Map(
    snapshot.configured_services
      .filter(({ config, desired }) => config.public && desired !== 'removed')
      .map((service) => [service.name, summarize(service, snapshot.instances).traffic]),
  )
  const nodes = new Map(snapshot.instances.map(({ id, node }) => [id, node]))
  const names = [...new Set([...traffic.keys(), ...Object.keys(counters.services)])].sort(compare)
  return {
    startedAt,
    tableVersion,
    loops,
    connections,
    rejected,
    services: names.map((service) => ({
      service,
      traffic: traffic.get(service) ?? null,
      ...serviceOf(counters.services[service] ?? newServiceCounters(), nodes),
    })),
  }
}

function serviceOf(own: ServiceCounters, nodes: ReadonlyMap<string, string>) {
  const { total, firstByte, queue, instances, ...plain } = own
  const errors = Object.entries(own.statuses)
    .filter(([status]) => Number(status) >= 500)
    .reduce((sum, [, one]) => sum + one, 0)
  return {
    ...plain,
    errors,
    total: timesOf(total),
    firstByte: timesOf(firstByte),
    queue: timesOf(queue),
    instances: Object.entries(instances)
      // Counts of those that left are kept for the judgement of deployments.
      .filter(([, one]) => one.inTable !== 0 || one.inFlight > 0)
      .map(([instance, one]) => instanceOf(instance, nodes.get(instance) ?? null, one))
      .sort((left, right) => compare(left.instance, right.instance)),
  }
}

function instanceOf(instance: string, node: string | null, own: InstanceCounters) {
  // A data plane of a former version, that is to be upgraded, knows less.
  const { latency = {}, failed = 0, inTable: _, connect, ...plain } = own
  const at = (share: number) => {
    const us = latencyAt(latency, share)
    return us === null ? null : Math.round(us) / US_PER_MS
  }
  const answer = { p50: at(0.5), p90: at(0.9), p99: at(0.99) }
  return { instance, node, ...plain, failed, connect: timesOf(connect), answer }
}

function timesOf(histogram: Histogram): z.output<typeof times> {
  const at = (share: number) => quantileMs(histogram, share)
  return { p50: at(0.5), p90: at(0.9), p99: at(0.99) }
}
