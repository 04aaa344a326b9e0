import { describe, expect, test } from 'vitest'
import { createBalancer } from '#ctld/balancer/balancer.ts'
import { hostConflicts, routeTable } from '#ctld/balancer/table.ts'
import { weigh } from '#ctld/balancer/weigh.ts'
import type { RouteTable } from '#ctld/ports.ts'
import type { ServiceConfig } from '#shared/configuration.ts'
import { forEachSeed } from '#test/helpers/seeds.ts'
import { aConfig, aNode, anInstance, aService, metrics, randomFacts } from './world.ts'

const targetsOf = (table: RouteTable, service: string) =>
  table.routes.find((route) => route.service === service)?.targets.map(({ instance }) => instance)

describe('the route table', () => {
  test('M35: says all that routing needs', () => {
    const service = aService('api', { hosts: ['Shop.Example'], path: '/shop', public_port: 9_000 })
    const table = routeTable([service], [anInstance('i1', 'api')], [aNode('w1')], 7)
    expect(table).toEqual({
      version: 7,
      routes: [
        {
          service: 'api',
          protocol: 'http',
          hosts: ['api', 'shop.example'],
          paths: ['/shop', '/svc/api/'],
          publicPort: 9_000,
          proxyProtocol: 'none',
          balance: 'weighted_round_robin',
          slowStartMs: 0,
          inFlightMax: 0,
          queueMax: 1_000,
          queueMs: 5_000,
          holdMs: 5_000,
          traffic: 'open',
          pauseMs: 30_000,
          connectMs: 1_000,
          responseMs: 30_000,
          idleMs: 60_000,
          bodyMax: 1_024 ** 3,
          pipelining: true,
          targets: [{ instance: 'i1', node: 'w1', host: '10.0.0.1', port: 20_000, weight: 10 }],
        },
      ],
    })
  })

  const routeOf = (config: Partial<ServiceConfig>) =>
    routeTable([aService('api', config)], [], [aNode('w1')], 1).routes[0]

  test('says how an instance is chosen and how much the service takes', () => {
    const limits = { in_flight: 7, queue: 3, queue_timeout: '250ms', body: '1.5MiB' }
    const more = { slow_start: '30s', hold: '2s', pipelining: 'off', limits } as const
    const timeouts = { connect: '2s', response: '3s', idle: '4s' }
    expect(routeOf({ ...more, timeouts, sticky: { cookie: 'Back' } })).toMatchObject({
      stickyCookie: 'Back',
      slowStartMs: 30_000,
      inFlightMax: 7,
      queueMax: 3,
      queueMs: 250,
      holdMs: 2_000,
      connectMs: 2_000,
      responseMs: 3_000,
      idleMs: 4_000,
      bodyMax: 1_572_864,
      pipelining: false,
    })
  })

  test('a connection of tcp may be silent for an hour if nothing is said, a body for a minute', () => {
    const idleOf = (config: Partial<ServiceConfig>) => routeOf(config)?.idleMs
    const tcp = { protocol: 'tcp', public_port: 5_432 } as const
    const timeouts = { connect: '1s', response: '1s', idle: '5s' }
    expect([idleOf({}), idleOf(tcp), idleOf({ ...tcp, timeouts })]).toEqual([
      60_000, 3_600_000, 5_000,
    ])
  })

  test('says what is hashed: the ip unless it is named, a header in lower case', () => {
    const keyOf = (config: Partial<ServiceConfig>) => routeOf({ balance: 'hash', ...config })?.hash
    expect(keyOf({})).toEqual({ by: 'ip' })
    expect(keyOf({ hash: { by: 'header', name: 'X-Tenant' } })).toEqual({
      by: 'header',
      name: 'x-tenant',
    })
    expect(keyOf({ hash: { by: 'cookie', name: 'Session' } })).toEqual({
      by: 'cookie',
      name: 'Session',
    })
    expect(routeOf({})).not.toHaveProperty('hash')
  })

  test('a tcp service is known by its port alone', () => {
    const tcp = { protocol: 'tcp', public_port: 9_000, proxy_protocol: 'v2' } as const
    expect(routeOf(tcp)).toMatchObject({
      protocol: 'tcp',
      hosts: [],
      paths: [],
      publicPort: 9_000,
      proxyProtocol: 'v2',
    })
  })

  test('T07: a stopped service has an empty route, a removed or private one has none', () => {
    const services = [
      aService('gone', {}, { desired: 'removed' }),
      aService('private', { public: false }),
      aService('stopped', {}, { desired: 'stopped' }),
    ]
    const instances = services.map(({ name }) => anInstance(`${name}1`, name))
    const table = routeTable(services, instances, [aNode('w1')], 1)
    expect(table.routes.map(({ service, targets }) => [service, targets])).toEqual([
      ['stopped', []],
    ])
  })

  test('Q03: whoever was not admitted gets nothing, however healthy', () => {
    const service = aService('api', { concurrency: 3 })
    const beside = anInstance('i2', 'api', { admitted: false })
    const table = routeTable([service], [anInstance('i1', 'api'), beside], [aNode('w1')], 1)
    expect(targetsOf(table, 'api')).toEqual(['i1'])
  })

  test('Q03: never more than concurrency, the declared program first, then the oldest', () => {
    const service = aService('api', { concurrency: 2 }, { revision: 2, programRevision: 2 })
    const old = [anInstance('i1', 'api'), anInstance('i2', 'api'), anInstance('i3', 'api')]
    const fresh = anInstance('i9', 'api', { revision: 2 })
    expect(targetsOf(routeTable([service], old, [aNode('w1')], 1), 'api')).toEqual(['i1', 'i2'])
    const table = routeTable([service], [...old, fresh], [aNode('w1')], 1)
    expect(targetsOf(table, 'api')).toEqual(['i1', 'i9'])
  })

  test('Q04: a suspect node keeps its traffic, a dead or reviving one does not', () => {
    const states = ['alive', 'suspect', 'unknown', 'dead', 'reviving'] as const
    const nodes = states.map((state, at) => aNode(`w${at}`, { state }))
    const instances = nodes.map(({ name }) => anInstance(`on-${name}`, 'api', { node: name }))
    const service = aService('api', { concurrency: 5 })
    const table = routeTable([service], instances, nodes, 1)
    expect(targetsOf(table, 'api')).toEqual(['on-w0', 'on-w1', 'on-w2'])
  })

  test(
    'Q03: never has more targets than the concurrency, and only those that can serve',
    forEachSeed(500, (random) => {
      const { services, instances, nodes } = randomFacts(random)
      for (const route of routeTable(services, instances, nodes, 1).routes) {
        const { config } = services.find(({ name }) => name === route.service) ?? {}
        const able = instances.filter(
          ({ service, state, healthy, node }) =>
            service === route.service &&
            state === 'started' &&
            healthy &&
            ['alive', 'suspect', 'unknown'].includes(
              nodes.find(({ name }) => name === node)?.state ?? '',
            ),
        )
        const isRunning = services.find(({ name }) => name === route.service)?.desired === 'running'
        const most = isRunning ? Math.min(config?.concurrency ?? 0, able.length) : 0
        expect(route.targets.length).toBe(most)
        const ids = new Set(able.map(({ id }) => id))
        expect(route.targets.every(({ instance }) => ids.has(instance))).toBe(true)
      }
    }),
  )

  test(
    'is the same in whatever order it is told the facts',
    forEachSeed(500, (random) => {
      const { services, instances, nodes } = randomFacts(random)
      const table = routeTable(services, instances, nodes, 1)
      const [mixedServices, mixedInstances, mixedNodes] = [
        random.shuffle(services),
        random.shuffle(instances),
        random.shuffle(nodes),
      ]
      expect(routeTable(mixedServices, mixedInstances, mixedNodes, 1)).toEqual(table)
    }),
  )
})

describe('weights', () => {
  const now = { metricsAgeMs: 0, intervalMs: 2_000 }

  test('Q10: follow the free share of the scarcer of cpu and memory', () => {
    expect(weigh({ ...now, metrics: metrics(0) })).toBe(10)
    expect(weigh({ ...now, metrics: metrics(0.34) })).toBe(7)
    expect(weigh({ ...now, metrics: metrics(0.1, 0.8) })).toBe(2)
    expect(weigh({ ...now, metrics: metrics(1) })).toBe(1)
    expect(weigh({ ...now, metrics: metrics(7, Number.NaN) })).toBe(1)
  })

  test('Q10: old metrics count half, none at all count as idle', () => {
    expect(weigh({ ...now, metricsAgeMs: 6_000, metrics: metrics(0.2) })).toBe(8)
    expect(weigh({ ...now, metricsAgeMs: 6_001, metrics: metrics(0.2) })).toBe(4)
    expect(weigh({ ...now, metricsAgeMs: 6_001, metrics: metrics(1) })).toBe(1)
    expect(weigh({ ...now, metrics: null })).toBe(10)
  })
})

describe('conflicts', () => {
  const others = [aService('shop', { hosts: ['Shop.Example'], path: '/shop/', public_port: 9_000 })]
  const conflicts = (config: Parameters<typeof aConfig>[1]) =>
    hostConflicts(others, { name: 'api', config: aConfig('api', config) })

  test('name the address and its owner', () => {
    expect(conflicts({ hosts: ['shop.example'], path: '/shop', public_port: 9_000 })).toEqual([
      'host shop.example belongs to service shop',
      'path /shop belongs to service shop',
      'public_port 9000 belongs to service shop',
    ])
    expect(conflicts({ hosts: ['SHOP'] })).toEqual(['host shop belongs to service shop'])
    expect(conflicts({ path: '/svc/shop/inner' })).toEqual([
      'path /svc/shop/inner belongs to service shop',
    ])
  })

  test('a deeper path, a removed service and the service itself are none', () => {
    expect(conflicts({ path: '/shop/api', public_port: 9_001 })).toEqual([])
    const removed = others.map((service) => ({ ...service, desired: 'removed' as const }))
    expect(hostConflicts(removed, { name: 'shop', config: aConfig('shop') })).toEqual([])
    const [shop] = others
    expect(shop && hostConflicts(others, shop)).toEqual([])
  })
})

describe('the balancer', () => {
  test('publishes a table only when something in it changed', () => {
    const published: RouteTable[] = []
    const balancer = createBalancer({
      dataPlane: {
        publish: (table) => void published.push(table),
        observe() {},
        counters: () => Promise.reject(new Error('not asked')),
        inForce: () => Promise.reject(new Error('not asked')),
      },
      onObservation() {},
    })
    const service = aService('api')
    const instance = anInstance('i1', 'api')
    balancer.publish([], [], [])
    balancer.publish([service], [instance], [aNode('w1')])
    balancer.publish([service], [{ ...instance, why: 'another' }], [aNode('w1')])
    const busy = aNode('w1', { metrics: metrics(0.5), metricsAgeMs: 0 })
    balancer.publish([service], [instance], [busy])
    expect(published.map(({ version }) => version)).toEqual([1, 2, 3])
    expect(balancer.table()).toBe(published[2])
  })
})
