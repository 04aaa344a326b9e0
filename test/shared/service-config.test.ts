import { describe, expect, test } from 'vitest'
import { checkServiceConfig, parseServiceConfig, withDigest } from '#shared/service-config.ts'
import { complaints, problemsOf } from '#test/helpers/configurations.ts'

const small = `name: api
concurrency: 2
image: { path: ./api, run: [node, server.ts] }
port: 3000
`
const parse = (text: string) => parseServiceConfig(text, 'service.yaml')
const refusal = (text: string) => complaints(() => parse(text))
const withLine = (line: string) => `${small}${line}\n`
const digest = `sha256:${'0'.repeat(64)}`

test('M47–M49: the smallest configuration, and every default', () => {
  expect(parse(small)).toEqual({
    kind: 'service',
    name: 'api',
    concurrency: 2,
    image: { path: './api', build: [], build_timeout: '10m', run: ['node', 'server.ts'] },
    port: 3000,
    host_port: 'dynamic',
    protocol: 'http',
    public: true,
    proxy_protocol: 'none',
    hosts: [],
    env: {},
    health: { interval: '5s', timeout: '2s', fall: 3, rise: 2, start_timeout: '60s' },
    placement: 'round_robin',
    constraints: [],
    affinity: [],
    priority: 50,
    balance: 'weighted_round_robin',
    slow_start: '0s',
    limits: { in_flight: 0, queue: 1_000, queue_timeout: '5s', body: '1GiB' },
    hold: '5s',
    pipelining: 'auto',
    stop: { signal: 'SIGTERM', grace: '20s', drain: '30s' },
    exclusive: false,
    update: {
      strategy: 'rolling',
      max_surge: 1,
      min_healthy: '5s',
      deadline: '5m',
      auto_revert: true,
      steps: [10, 50],
      pause: '30s',
      guard: { error_rate: 0.05, min_requests: 100, watch: '10s' },
    },
    timeouts: { connect: '1s', response: '30s' },
  })
})

test.each([0, 1, 1000])('M47: concurrency %s', (count) => {
  expect(parse(small.replace('concurrency: 2', `concurrency: ${count}`)).concurrency).toBe(count)
})

test.each([-1, 0.5, 1e9, '"3"', '.nan', '1001', 'no'])(
  'M47: concurrency %s is refused',
  (wrong) => {
    expect(refusal(small.replace('concurrency: 2', `concurrency: ${wrong}`))).toMatch(
      /^service.yaml:2:1 concurrency: expected a whole number, 0..1000, got /,
    )
  },
)

test.each([80, 443, 1024, 65535])('M49: port %s', (port) => {
  expect(parse(small.replace('3000', String(port))).port).toBe(port)
})

test.each([0, 22, 81, 1023, 65536, -1])('M49: port %s is refused, and why', (port) => {
  expect(refusal(small.replace('3000', String(port)))).toBe(
    `service.yaml:4:1 port: expected a port: 80, 443 or 1024..65535 (the others below 1024 belong to the system, 22 to ssh), got ${port}`,
  )
})

test('M20/Q18: a job is refused with a clear message', () => {
  expect(refusal(withLine('kind: job'))).toBe(
    'service.yaml:5:1 kind: expected service (`job`, for work that ends, is reserved and not built), got "job"',
  )
})

describe('M48: the image', () => {
  test('git is refused, and what to use instead', () => {
    expect(refusal(small.replace('path: ./api', 'git: https://example.com/a.git'))).toBe(
      'service.yaml:3:10 image.git: images are not fetched from git: check it out and use image.path or image.archive',
    )
  })

  test('is named in exactly one way', () => {
    expect(refusal(small.replace('path: ./api, ', ''))).toContain(
      'image: missing; expected one of path or archive',
    )
    expect(refusal(small.replace('./api', './api, archive: a.tgz'))).toContain(
      'image: expected only one of path or archive, got path and archive',
    )
  })

  test('has a digest only in the API', () => {
    const image = { digest, run: ['./run'] }
    const config = checkServiceConfig({ name: 'a', concurrency: 1, port: 3000, image })
    expect(config.image.digest).toBe(digest)
    expect(refusal(small.replace('path: ./api', `digest: ${digest}`))).toContain(
      'image.digest: a file names its program by path or archive',
    )
  })

  test('withDigest puts the digest in the place of path and archive', () => {
    const config = parse(small)
    expect(withDigest(config, digest).image).toEqual({
      digest,
      build: [],
      build_timeout: '10m',
      run: ['node', 'server.ts'],
    })
    expect(config.image.path).toBe('./api')
  })

  test.each(['[]', 'node server.ts', "['']", '["a\\u0000"]', '["a\\nb"]', '[1]', '[[a]]'])(
    'run: %s is no command',
    (run) => {
      expect(refusal(small.replace('[node, server.ts]', run))).toMatch(
        /image\.run(?:\[0\])?: expected/,
      )
    },
  )

  test('an argument may have several lines', () => {
    const run = '[sh, -c, "a\\nb"]'
    expect(parse(small.replace('[node, server.ts]', run)).image.run[2]).toBe('a\nb')
  })

  test('has at most 16 build commands', () => {
    const build = JSON.stringify(Array.from({ length: 17 }, () => ['make']))
    expect(refusal(small.replace('run:', `build: ${build}, run:`))).toContain(
      'image.build: expected at most 16 commands like [[npm, ci], [npm, run, build]], got a list of 17',
    )
  })
})

describe('hosts and path', () => {
  test('hosts are lower-cased', () => {
    expect(parse(withLine('hosts: [API.Example.com]')).hosts).toEqual(['api.example.com'])
  })

  test('a host is given once', () => {
    expect(refusal(withLine('hosts: [a.example, A.example]'))).toBe(
      'service.yaml:5:20 hosts[1]: given twice: "a.example"',
    )
  })

  test.each(['a:80', '*.example', 'a b', '-a', 'a..b', '', '10.0.0.1', 'é.example', 'a_b'])(
    '%j is no host name',
    (host) => {
      expect(refusal(withLine(`hosts: [${JSON.stringify(host)}]`))).toContain(
        'hosts[0]: expected a host name like api.example.com, without port or wildcard',
      )
    },
  )

  test.each([
    ['/api/', '/api'],
    ['/', '/'],
    ['/a/b.c', '/a/b.c'],
    ['/svcs', '/svcs'],
  ])('path %s is %s', (path, normal) => {
    expect(parse(withLine(`path: ${path}`)).path).toBe(normal)
  })

  test.each(['api', '//a', '/a//b', '/../a', '/a/..', '/a?b', '/a%2fb', '/svc', '/svc/', '/svc/x'])(
    'path %s is refused',
    (path) => {
      expect(refusal(withLine(`path: ${path}`))).toContain('path: expected a path like /api')
    },
  )
})

describe('env', () => {
  test.each(['PORT', 'TUCANO_INSTANCE', '1A', 'A-B', '"A=B"', '"A\\r\\n"'])(
    '%s is no name',
    (key) => {
      expect(refusal(withLine(`env: { ${key}: x }`))).toContain(
        'the name of a variable like LOG_LEVEL',
      )
    },
  )

  test('a value is text and is never repeated', () => {
    const said = refusal(withLine('env: { PASSWORD: 123456789 }'))
    expect(said).toContain('env.PASSWORD: expected text of at most 32768 characters')
    expect(said).not.toContain('123456789')
  })

  test('has at most 128 variables and 64 KiB', () => {
    const env = (count: number, length: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, n) => [`V${n}`, 'x'.repeat(length)]))
    const check = (values: object) =>
      checkServiceConfig({
        name: 'a',
        concurrency: 1,
        port: 3000,
        image: { digest, run: ['a'] },
        env: values,
      })
    expect(Object.keys(check(env(128, 1)).env)).toHaveLength(128)
    for (const wrong of [env(129, 1), env(3, 30_000)]) {
      expect(complaints(() => check(wrong))).toContain(
        '/env: expected at most 128 variables like {LOG_LEVEL: info}, 65536 bytes in all',
      )
    }
  })
})

test('Q08: a static port allows one instance a node', () => {
  expect(refusal(withLine('host_port: static\nmax_per_node: 2'))).toBe(
    'service.yaml:6:1 max_per_node: host_port static allows one instance a node, got max_per_node 2',
  )
  expect(parse(withLine('host_port: static')).host_port).toBe('static')
})

test.each(['5', '5 s', '1y', '-1s', '1e3s', '99999999999s', '49ms'])('%j is no timeout', (text) => {
  expect(refusal(withLine(`health: { timeout: ${JSON.stringify(text)} }`))).toContain(
    'health.timeout: expected a duration like 250ms, 2s or 10m, 50ms..10m',
  )
})

test.each(['../x', '%2e%2e', 'a\0', 'a'.repeat(300), 'аpi', '-a', 'A', 'a\r\nb', 'a_b', ''])(
  'name %j is refused',
  (name) => {
    expect(refusal(small.replace('name: api', `name: ${JSON.stringify(name)}`))).toContain(
      'name: expected a name: a-z, 0-9 and -',
    )
  },
)

test('an unknown key is named with the one that was meant', () => {
  expect(refusal(withLine('concurency: 3'))).toBe(
    'service.yaml:5:1 concurency: unknown key "concurency"; did you mean `concurrency`?',
  )
  expect(refusal(withLine('zzzzzz: 3'))).toContain('unknown key "zzzzzz"; known: kind, name')
})

test('dangerous keys and deep nesting are refused in the API too', () => {
  const polluted = JSON.parse('{"__proto__":{"public":true},"image":{"constructor":1}}')
  expect(problemsOf(() => checkServiceConfig(polluted))).toEqual([
    { where: '/__proto__', what: 'the key "__proto__" is refused' },
    { where: '/image/constructor', what: 'the key "constructor" is refused' },
  ])
  const deep = JSON.parse(`${'['.repeat(40)}${']'.repeat(40)}`)
  expect(complaints(() => checkServiceConfig({ env: deep }))).toContain(
    'nested deeper than 32 levels',
  )
})

test.each([
  ['concurrency: 1', 'update: {strategy: canary}', /update.strategy: canary needs a concurrency/],
  ['exclusive: true', 'update: {strategy: blue_green}', /exclusive: blue_green starts new/],
  ['priority: 1', 'update: {strategy: canary, max_surge: 0}', /update.max_surge: 0 means nothing/],
  ['priority: 1', 'update: {strategy: canary, steps: [50, 10]}', /update.steps: expected 1..10 gr/],
])('%s with %s is refused, and why', (first, second, words) => {
  const base = first.startsWith('concurrency') ? small.replace(/concurrency: .*/, first) : small
  const text = `${base}${first.startsWith('concurrency') ? '' : `${first}\n`}${second}\n`
  expect(refusal(text)).toMatch(words)
})
