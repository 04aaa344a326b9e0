// What the data plane counted, as measurements, under the names that operators know from other
// balancers. Bounded: beyond SERVICES_MAX, INSTANCES_MAX and CODES_MAX the rest is left out or
// summed, and how much was left out is a measurement of its own.

import { HISTOGRAM_BOUNDS_US } from '#ctld/balancer/balancer.ts'
import type {
  DataPlaneCounters,
  Histogram,
  InstanceCounters,
  ServiceCounters,
} from '#ctld/balancer/data-plane/counters.ts'
import {
  type Family,
  histogramSamples,
  type Labels,
  labelsOf,
  type Sample,
  summarySamples,
} from './exposition.ts'

export const SERVICES_MAX = 1_000
export const INSTANCES_MAX = 10_000
/** Per service: a program may answer with any status it likes. */
export const CODES_MAX = 64

const US = 1_000_000
const bounds = HISTOGRAM_BOUNDS_US.map((us) => us / US)

type Type = 'counter' | 'gauge'
type Service = { name: string; labels: Labels; counters: ServiceCounters }
type Instance = { name: string; labels: Labels; counters: InstanceCounters }

/** undefined: the data plane could not be asked; then only that is told. */
export function balancerFamilies(counters: DataPlaneCounters | undefined): Family[] {
  const up = single('up', 'gauge', 'Whether the data plane answered', counters ? 1 : 0)
  if (counters === undefined) return [up]
  const all = Object.entries(counters.services).map(([name, own]) => {
    return { name, labels: labelsOf({ service: name }), counters: own }
  })
  const services = all.sort(byName).slice(0, SERVICES_MAX)
  const known = services.flatMap(instancesOf)
  const instances = known.slice(0, INSTANCES_MAX)
  return [
    up,
    ...planeFamilies(counters),
    leftOut({ services: all.length - services.length, instances: known.length - instances.length }),
    ...serviceFamilies(services),
    ...instanceFamilies(instances),
  ]
}

function planeFamilies({ startedAt, tableVersion, loops, ...counters }: DataPlaneCounters) {
  const { accepted, open, refused } = counters.connections
  return [
    single('start_time_seconds', 'gauge', 'Since when it counts', startedAt / 1_000),
    single('table_version', 'gauge', 'The route table in force', tableVersion),
    single('loops', 'gauge', 'Event loops that carry the traffic', loops),
    single('connections_total', 'counter', "Clients' connections", accepted),
    single('connections_refused_total', 'counter', 'Connections over a limit', refused),
    single('connections_open', 'gauge', "Clients' connections now", open),
    {
      name: 'tucano_balancer_rejected_requests_total',
      type: 'counter' as const,
      help: 'Requests that belong to no service or are no HTTP, by status',
      samples: codesOf('', counters.rejected),
    },
  ]
}

function serviceFamilies(services: readonly Service[]): Family[] {
  const plain = (name: string, type: Type, help: string, of: (own: ServiceCounters) => number) =>
    family(`service_${name}`, type, help, services, ({ labels, counters }) => [
      { labels, value: of(counters) },
    ])
  const seconds = (name: string, help: string, of: (own: ServiceCounters) => Histogram) =>
    family(`service_${name}`, 'histogram', help, services, ({ labels, counters }) => {
      const { counts, sumUs } = of(counters)
      return histogramSamples(labels, { bounds, counts, sum: secondsOf(sumUs) })
    })
  return [
    family(
      'service_requests_total',
      'counter',
      'Requests by status; 101: tunnels, 0: the client left before an answer',
      services,
      ({ labels, counters }) => codesOf(labels, counters.statuses),
    ),
    seconds('request_duration_seconds', "From a request's head to its answer's end", (own) => {
      return own.total
    }),
    seconds('first_byte_seconds', "From a request's head to its answer's first byte", (own) => {
      return own.firstByte
    }),
    seconds('queue_seconds', 'How long requests waited for an instance', (own) => own.queue),
    family(
      'service_endings_total',
      'counter',
      'Requests that did not end well, by who ended them and in which phase',
      services,
      ({ labels, counters }) => endingsOf(labels, counters.endings),
    ),
    plain('retries_total', 'counter', 'Requests sent to another instance', (own) => own.retries),
    plain('retries_denied_total', 'counter', 'Retries over the budget', (own) => own.retriesDenied),
    plain('queued_total', 'counter', 'Requests that had to wait', (own) => own.queued),
    plain('waiting', 'gauge', 'Requests that wait now', (own) => own.waiting),
    plain('in_flight', 'gauge', 'Requests under way now', (own) => own.inFlight),
    plain('received_bytes_total', 'counter', 'Bytes of bodies from clients', (own) => own.bytesIn),
    plain('sent_bytes_total', 'counter', 'Bytes of bodies to clients', (own) => own.bytesOut),
  ]
}

function instanceFamilies(instances: readonly Instance[]): Family[] {
  const plain = (name: string, type: Type, help: string, of: (own: InstanceCounters) => number) =>
    family(`instance_${name}`, type, help, instances, ({ labels, counters }) => [
      { labels, value: of(counters) },
    ])
  return [
    plain('requests_total', 'counter', 'Requests sent to it', (own) => own.requests),
    plain('in_flight', 'gauge', 'Requests under way at it now', (own) => own.inFlight),
    plain('connect_attempts_total', 'counter', 'Connections tried', (own) => own.connectAttempts),
    plain('connect_errors_total', 'counter', 'Connections not had', (own) => own.connectErrors),
    plain('connection_reuses_total', 'counter', 'Requests on a kept connection', (own) => {
      return own.reuses
    }),
    plain('reuse_deaths_total', 'counter', 'Kept connections that died under a request', (own) => {
      return own.reuseDeaths
    }),
    plain('response_errors_total', 'counter', 'Answers broken or not HTTP', (own) => {
      return own.responseErrors
    }),
    plain('failed_total', 'counter', 'Requests answered with 5xx, or not to the end', (own) => {
      return own.failed ?? 0
    }),
    plain('ejections_total', 'counter', 'Times it got no requests for a while', (own) => {
      return own.ejections
    }),
    plain('idle_connections', 'gauge', 'Kept connections without a request', (own) => {
      return own.idleConnections
    }),
    plain('open_connections', 'gauge', 'Connections to it', (own) => own.openConnections),
    family(
      'instance_connect_seconds',
      'summary',
      'How long it took to connect',
      instances,
      ({ labels, counters: { connect } }) =>
        summarySamples(labels, secondsOf(connect.sumUs), connect.count),
    ),
  ]
}

function leftOut(counts: Record<string, number>): Family {
  return {
    name: 'tucano_metrics_left_out',
    type: 'gauge',
    help: 'What is counted but not listed here, because there is too much of it',
    samples: Object.entries(counts).map(([what, value]) => ({ labels: labelsOf({ what }), value })),
  }
}

/** Those that came most often, and the sum of the others. */
function codesOf(labels: Labels, statuses: Record<string, number>): Sample[] {
  const all = Object.entries(statuses).sort(([, left], [, right]) => right - left)
  const often = all.slice(0, CODES_MAX).sort(([left], [right]) => Number(left) - Number(right))
  const rest = all.slice(CODES_MAX).reduce((sum, [, count]) => sum + count, 0)
  const shown = rest === 0 ? often : [...often, ['other', rest] as const]
  return shown.map(([code, value]) => ({ labels: joined(labels, labelsOf({ code })), value }))
}

/** `instance head`: who, and in which phase. */
function endingsOf(labels: Labels, endings: Record<string, number>): Sample[] {
  return Object.entries(endings)
    .slice(0, CODES_MAX)
    .map(([ending, value]) => {
      const [ended_by = '', phase = ''] = ending.split(' ', 2)
      return { labels: joined(labels, labelsOf({ ended_by, phase })), value }
    })
}

function joined(labels: Labels, more: Labels): Labels {
  return labels === '' ? more : `${labels},${more}`
}

function instancesOf({ labels, counters }: Service): Instance[] {
  return Object.entries(counters.instances)
    .map(([name, own]) => {
      return { name, labels: joined(labels, labelsOf({ instance: name })), counters: own }
    })
    .sort(byName)
}

/** To the microsecond: sums of parts of it end in noise. */
function secondsOf(us: number): number {
  return Math.round(us) / US
}

function byName(left: { name: string }, right: { name: string }): number {
  return left.name < right.name ? -1 : 1
}

function family<T>(
  name: string,
  type: Family['type'],
  help: string,
  items: readonly T[],
  samplesOf: (item: T) => Sample[],
): Family {
  return { name: `tucano_${name}`, type, help, samples: items.flatMap(samplesOf) }
}

function single(name: string, type: Type, help: string, value: number): Family {
  return { name: `tucano_balancer_${name}`, type, help, samples: [{ value }] }
}
