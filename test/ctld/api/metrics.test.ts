// The metrics against the rules of their format, and against what was counted.

import { describe, expect, test } from 'vitest'
import {
  balancerFamilies,
  CODES_MAX,
  INSTANCES_MAX,
  SERVICES_MAX,
} from '#ctld/api/balancer-metrics.ts'
import { expositionOf } from '#ctld/api/exposition.ts'
import { quantileMs } from '#ctld/api/quantile.ts'
import {
  newHistogram,
  newInstanceCounters,
  newServiceCounters,
  record,
} from '#ctld/balancer/data-plane/counters.ts'
import { TucanoError } from '#shared/errors.ts'
import { busyCounters, noCounters } from '#test/fakes/counters.ts'
import { aService, createFakeCtld } from '#test/fakes/ctld.ts'
import { createTestApi } from '#test/helpers/api.ts'
import { parseExposition } from '#test/helpers/exposition.ts'

async function metricsOf(options: Parameters<typeof createTestApi>[0] = {}) {
  const answer = await createTestApi(options).ask('GET', '/metrics')
  return valuesOf(answer.body)
}

/** The value of a sample by its name and labels as they are written. */
function valuesOf(body: string) {
  const { families } = parseExposition(body)
  const lines = body.split('\n').filter((line) => !line.startsWith('#'))
  const values = Object.fromEntries(lines.map((line) => line.split(/ (?=\S+$)/)))
  return { families, values, lines }
}

describe('GET /metrics', () => {
  test('has the type that Prometheus asks for and is valid by the rules of the format', async () => {
    const answer = await createTestApi().ask('GET', '/metrics')
    expect(answer.statusCode).toBe(200)
    expect(answer.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8')
    expect(parseExposition(answer.body).families.length).toBeGreaterThan(40)
  })

  test('is closed without the admin token', async () => {
    const { ask } = createTestApi()
    expect((await ask('GET', '/metrics', { token: null })).statusCode).toBe(401)
  })

  test('tells of each service what the data plane counted', async () => {
    const { values } = await metricsOf()
    expect(values).toMatchObject({
      tucano_balancer_up: '1',
      tucano_balancer_table_version: '12',
      tucano_balancer_connections_total: '30',
      'tucano_balancer_rejected_requests_total{code="404"}': '5',
      'tucano_service_requests_total{service="api",code="0"}': '2',
      'tucano_service_requests_total{service="api",code="200"}': '94',
      'tucano_service_request_duration_seconds_bucket{service="api",le="0.0005"}': '0',
      'tucano_service_request_duration_seconds_bucket{service="api",le="0.001"}': '95',
      'tucano_service_request_duration_seconds_bucket{service="api",le="0.05"}': '100',
      'tucano_service_request_duration_seconds_bucket{service="api",le="+Inf"}': '100',
      'tucano_service_request_duration_seconds_sum{service="api"}': '0.276',
      'tucano_service_endings_total{service="api",ended_by="client",phase="body"}': '2',
      'tucano_service_in_flight{service="api"}': '2',
      'tucano_service_waiting{service="api"}': '3',
      'tucano_service_retries_total{service="api"}': '4',
      'tucano_instance_requests_total{service="api",instance="i-1"}': '60',
      'tucano_instance_reuse_deaths_total{service="api",instance="i-1"}': '1',
      'tucano_instance_connect_seconds_sum{service="api",instance="i-1"}': '0.0003',
      'tucano_metrics_left_out{what="services"}': '0',
    })
  })

  test('tells what the controller knows of workers, instances, alerts and mails', async () => {
    const paused = { state: 'paused', since: 1_000, until: 31_000 } as const
    const ctld = createFakeCtld({ configured_services: [aService({ traffic: paused })] })
    const { values } = await metricsOf({ ctld })
    expect(values).toMatchObject({
      'tucano_nodes{state="alive"}': '1',
      'tucano_nodes{state="dead"}': '1',
      'tucano_nodes{state="suspect"}': '0',
      'tucano_node_silent_seconds{node="w1"}': '0.12',
      'tucano_instances{service="api",state="started"}': '1',
      'tucano_instances{service="api",state="failed_to_start"}': '1',
      'tucano_instances_without_place{service="api"}': '1',
      'tucano_service_instances_wanted{service="api"}': '2',
      'tucano_service_traffic{service="api",state="paused"}': '1',
      'tucano_incidents{state="open"}': '1',
      tucano_mails_waiting: '1',
      tucano_frozen: '1',
      'tucano_build_info{version="0.1.0"}': '1',
    })
  })

  test('says that the data plane is silent, and goes on telling the rest', async () => {
    const silent = () => Promise.reject(new TucanoError('unavailable', 'no socket'))
    const api = createTestApi({ counters: silent })
    const answer = await api.ask('GET', '/metrics')
    const { values } = valuesOf(answer.body)
    expect(values).toMatchObject({ tucano_balancer_up: '0', 'tucano_nodes{state="alive"}': '1' })
    expect(Object.keys(values).filter((name) => name.startsWith('tucano_service_r'))).toEqual([])
    expect(api.lines.map(({ fields }) => fields.error)).toContain('no socket')
    expect((await api.ask('GET', '/v1/balancer')).json()).toMatchObject({ code: 'unavailable' })
  })

  test('is bounded: the rest is summed or left out, and said to be', () => {
    const statuses = Object.fromEntries(Array.from({ length: 300 }, (_, at) => [200 + at, 1]))
    const crowd = Array.from({ length: 11 }, (_, at) => [`i${at}`, newInstanceCounters()])
    const instances = Object.fromEntries(crowd)
    const services = Object.fromEntries(
      Array.from({ length: SERVICES_MAX + 5 }, (_, at) => [
        `s${at}`,
        { ...newServiceCounters(), statuses: at === 0 ? statuses : {}, instances },
      ]),
    )
    const body = expositionOf(balancerFamilies(noCounters({ services })))
    const { values, lines } = valuesOf(body)
    expect(values['tucano_metrics_left_out{what="services"}']).toBe('5')
    expect(values['tucano_metrics_left_out{what="instances"}']).toBe(
      String(SERVICES_MAX * 11 - INSTANCES_MAX),
    )
    const codes = lines.filter((line) => line.startsWith('tucano_service_requests_total'))
    expect(codes).toHaveLength(CODES_MAX + 1)
    expect(values['tucano_service_requests_total{service="s0",code="other"}']).toBe(
      String(300 - CODES_MAX),
    )
  })

  test('a name cannot break out of its label', () => {
    const name = 'a"} 1\nforged{x="\\'
    const body = expositionOf(
      balancerFamilies(noCounters({ services: { [name]: newServiceCounters() } })),
    )
    const { families } = parseExposition(body)
    const services = new Set(
      families.flatMap(({ samples }) => samples.flatMap(({ labels }) => labels.service ?? [])),
    )
    expect([...services]).toEqual([name])
    expect(body.split('\n').filter((line) => line.startsWith('forged'))).toEqual([])
  })
})

test.each([
  ['a type without its help', '# TYPE a gauge\na 1\n'],
  ['the last line does not end', '# HELP a x\n# TYPE a gauge\na 1'],
  ['a sample told twice', '# HELP a x\n# TYPE a gauge\na{b="1"} 1\na{b="1"} 2\n'],
  ['a wrong label', '# HELP a x\n# TYPE a gauge\na{b="1"c"} 1\n'],
  ['of another family', '# HELP a x\n# TYPE a gauge\nb 1\n'],
  ['no _total', '# HELP a x\n# TYPE a counter\na 1\n'],
  ['no number', '# HELP a x\n# TYPE a gauge\na undefined\n'],
  [
    'is not cumulative',
    '# HELP a x\n# TYPE a histogram\na_bucket{le="1"} 2\na_bucket{le="+Inf"} 1\na_sum 1\na_count 1\n',
  ],
  [
    '+Inf is not the count',
    '# HELP a x\n# TYPE a histogram\na_bucket{le="+Inf"} 1\na_sum 1\na_count 2\n',
  ],
])('the reader of the format sees: %s', (words, text) => {
  expect(() => parseExposition(text)).toThrow(words)
})

describe('GET /v1/balancer', () => {
  test('tells of each service with a route, busy or not, with quantiles', async () => {
    const { ask } = createTestApi()
    const told = (await ask('GET', '/v1/balancer')).json()
    expect(told).toMatchObject({ tableVersion: 12, loops: 2, rejected: { 400: 3, 404: 5 } })
    expect(told.services).toMatchObject([
      {
        service: 'api',
        traffic: { state: 'open' },
        requests: 100,
        errors: 3,
        waiting: 3,
        inFlight: 2,
        total: { p50: 0.763, p99: 45 },
        instances: [
          { instance: 'i-1', node: 'w1', requests: 60, reuses: 51 },
          { instance: 'i-9', node: null, requests: 40, connect: { p50: null } },
        ],
      },
      { service: 'idle', requests: 0, total: { p50: null, p90: null, p99: null }, instances: [] },
    ])
  })

  test('tells of a service that is gone, and not of one that is private', async () => {
    const inner = aService({ name: 'inner' })
    const ctld = createFakeCtld({
      configured_services: [{ ...inner, config: { ...inner.config, public: false } }],
    })
    const { ask } = createTestApi({ ctld, counters: async () => busyCounters() })
    const { services } = (await ask('GET', '/v1/balancer')).json()
    expect(services).toMatchObject([{ service: 'api', traffic: null }])
  })
})

test('a quantile lies between its bounds, and never beyond the last', () => {
  const histogram = newHistogram()
  expect(quantileMs(histogram, 0.5)).toBeNull()
  for (let count = 0; count < 10; count += 1) record(histogram, 60)
  expect(quantileMs(histogram, 0.5)).toBe(0.05)
  expect(quantileMs(histogram, 1)).toBe(0.1)
  for (let count = 0; count < 30; count += 1) record(histogram, 60_000_000)
  expect(quantileMs(histogram, 0.25)).toBe(0.1)
  expect(quantileMs(histogram, 0.99)).toBe(10_000)
})
