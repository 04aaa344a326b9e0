import { describe, expect, test } from 'vitest'
import type { ServiceConfig } from '#shared/configuration.ts'
import { serviceDefaults } from '#shared/defaults.ts'
import {
  checkServiceConfig,
  completeServiceConfig,
  parseServiceConfig,
} from '#shared/service-config.ts'
import { sizeBytes } from '#shared/size.ts'
import { parseTopology } from '#shared/topology.ts'
import { complaints } from '#test/helpers/configurations.ts'

const small = `name: api
concurrency: 2
image: { path: ./api, run: [node, server.ts] }
port: 3000
`
const withLines = (...lines: string[]) => `${small}${lines.join('\n')}\n`
const parse = (...lines: string[]) => parseServiceConfig(withLines(...lines), 'service.yaml')
const refusal = (...lines: string[]) => complaints(() => parse(...lines))

describe('protocol tcp', () => {
  const tcp = ['protocol: tcp', 'public_port: 9000']

  test('has a port, and may say how its clients are told', () => {
    expect(parse(...tcp, 'proxy_protocol: v2')).toMatchObject({
      protocol: 'tcp',
      public_port: 9_000,
      proxy_protocol: 'v2',
    })
  })

  test('needs a port, unless nobody from outside comes in', () => {
    expect(refusal('protocol: tcp')).toBe(
      'service.yaml:1:1 public_port: missing; with protocol tcp clients come in by a port of ' +
        'their own: add one, like public_port: 9000, or public: false',
    )
    expect(parse('protocol: tcp', 'public: false').protocol).toBe('tcp')
  })

  test.each([
    ['hosts: [a.example]', '7:1 hosts: only with protocol http; a tcp connection names no host'],
    ['path: /a', '7:1 path: only with protocol http; a tcp connection has no path'],
    [
      'sticky: { cookie: back }',
      '7:11 sticky.cookie: only with protocol http; a tcp connection has no',
    ],
  ])('has no %s', (line, said) => {
    expect(refusal(...tcp, line)).toContain(`service.yaml:${said}`)
  })

  test('is hashed by ip only', () => {
    expect(parse(...tcp, 'balance: hash', 'hash: { by: ip }').hash).toEqual({ by: 'ip' })
    expect(refusal(...tcp, 'balance: hash', 'hash: { by: header, name: X-A }')).toBe(
      'service.yaml:8:9 hash.by: only with protocol http; a tcp connection has no header: use by: ip',
    )
  })

  test('alone knows the PROXY protocol', () => {
    expect(refusal('proxy_protocol: v1')).toBe(
      'service.yaml:5:1 proxy_protocol: v1 is only for protocol tcp; http programs read ' +
        'X-Forwarded-For: remove it',
    )
    expect(parse('proxy_protocol: none').proxy_protocol).toBe('none')
  })
})

describe('balance', () => {
  test.each(['least_request', 'least_loaded', 'hash'])('%s is a rule', (rule) => {
    expect(parse(`balance: ${rule}`).balance).toBe(rule)
  })

  test('hash says of what', () => {
    expect(parse('balance: hash', 'hash: { by: cookie, name: session }').hash).toEqual({
      by: 'cookie',
      name: 'session',
    })
  })

  test('a header or a cookie has a name, an ip has none', () => {
    expect(refusal('balance: hash', 'hash: { by: header }')).toBe(
      'service.yaml:6:1 hash.name: missing; by: header needs the name of the header, like ' +
        'name: X-Tenant',
    )
    expect(refusal('balance: hash', 'hash: { by: ip, name: X-A }')).toContain(
      'hash.name: only with by: header or by: cookie; remove it',
    )
  })

  test('hash without the rule is refused: it would do nothing', () => {
    expect(refusal('hash: { by: ip }')).toBe(
      'service.yaml:5:1 hash: means nothing without balance: hash; add that',
    )
  })

  test.each(['a b', 'a:b', 'a;b', 'a=b', ''])('%j is the name of no header or cookie', (name) => {
    const text = JSON.stringify(name)
    expect(refusal('balance: hash', `hash: { by: header, name: ${text} }`)).toContain(
      'hash.name: expected a name of letters, digits and',
    )
    expect(refusal(`sticky: { cookie: ${text} }`)).toContain(
      'sticky.cookie: expected a name of letters, digits and',
    )
  })
})

describe('sizes', () => {
  test.each([
    ['0B', 0],
    ['1B', 1],
    ['512KiB', 524_288],
    ['1.5MiB', 1_572_864],
    ['1GiB', 1_073_741_824],
    ['1024GiB', 1_099_511_627_776],
  ])('%s', (text, bytes) => {
    expect(parse(`limits: { body: ${text} }`).limits.body).toBe(text)
    expect(sizeBytes(text)).toBe(bytes)
  })

  test.each(['1024', '1 GiB', '1gib', '1GB', '-1B', '1025GiB', 'none'])('%s is none', (text) => {
    expect(refusal(`limits: { body: ${JSON.stringify(text)} }`)).toContain(
      'limits.body: expected a size like 512KiB, 10MiB or 1GiB, 0B..1024GiB, got ',
    )
  })
})

describe('the balancer', () => {
  const machines = 'topology:\n  - { name: ctl-1, kind: ctl, ip: 10.0.0.10 }\n'
  const balancerOf = (keys: string) =>
    parseTopology(`${machines}balancer: { ${keys} }\n`, 'topology.yaml').balancer

  test('writes its log nowhere or to an absolute path', () => {
    expect(balancerOf('access_log: off').access_log).toBe('off')
    expect(balancerOf('access_log: /var/log/a.log').access_log).toBe('/var/log/a.log')
    expect(complaints(() => balancerOf('access_log: a.log'))).toBe(
      'topology.yaml:3:13 balancer.access_log: expected off, or the absolute path of a file, got "a.log"',
    )
  })

  test.each([
    ['threads: 65', 'threads: expected a whole number, 0..64, got 65'],
    ['connections_max: 0', 'connections_max: expected a whole number, 1..1000000, got 0'],
    ['connections_per_ip: -1', 'connections_per_ip: expected a whole number, 0..1000000, got -1'],
  ])('refuses %s', (line, said) => {
    expect(complaints(() => balancerOf(line))).toContain(`balancer.${said}`)
  })
})

describe('a configuration that an older version kept', () => {
  const today = parse('timeouts: { response: 7s }')

  function oldOf(config: ServiceConfig): ServiceConfig {
    const { protocol, proxy_protocol, slow_start, limits, hold, pipelining, ...rest } = config
    return rest as ServiceConfig
  }

  test('gets what is new, and is then the same text as one that is deployed today', () => {
    const completed = completeServiceConfig(oldOf(today))
    expect(completed).toEqual(today)
    expect(JSON.stringify(completed)).toBe(JSON.stringify(today))
    expect(JSON.stringify(completeServiceConfig(today))).toBe(JSON.stringify(today))
  })

  test('is kept and completed also where a rule refuses it now', () => {
    const old = { ...oldOf(today), concurrency: 5_000, balance: 'p2c' as const }
    expect(() => checkServiceConfig(old)).toThrow()
    const completed = completeServiceConfig(old)
    expect(completed).toMatchObject({
      concurrency: 5_000,
      balance: 'p2c',
      protocol: 'http',
      limits: serviceDefaults.limits,
      timeouts: { connect: '1s', response: '7s' },
    })
    expect(completed.timeouts).not.toBe(serviceDefaults.timeouts)
  })
})
