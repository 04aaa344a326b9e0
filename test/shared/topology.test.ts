import { describe, expect, test } from 'vitest'
import type { ControllerConfig } from '#shared/configuration.ts'
import {
  controllerOf,
  diffTopology,
  machineOf,
  parseTopology,
  workersOf,
} from '#shared/topology.ts'
import { complaints, problemsOf, refusalOf } from '#test/helpers/configurations.ts'

const parse = (text: string): ControllerConfig => parseTopology(text, 'topology.yaml')
const refusal = (text: string): string => complaints(() => parse(text))

const ctl = '  - { name: ctl-1, kind: ctl, ip: 10.0.0.10 }\n'
const worker = (number: number, more = '') =>
  `  - { name: w${number}, kind: worker, ip: 10.0.0.${10 + number}${more} }\n`
const small = `topology:\n${ctl}${worker(1)}${worker(2)}`

describe('M41–M43: machines', () => {
  test('M41: all machines are listed, in the order of the file', () => {
    expect(parse(small).topology.map(({ name }) => name)).toEqual(['ctl-1', 'w1', 'w2'])
    expect(workersOf(parse(small)).map(({ name }) => name)).toEqual(['w1', 'w2'])
    expect(controllerOf(parse(small)).name).toBe('ctl-1')
    expect(machineOf(parse(small), 'w2')?.ip).toBe('10.0.0.12')
  })

  test('M41: at most 501 machines', () => {
    const many = Array.from(
      { length: 501 },
      (_, n) => `- {name: w${n}, kind: worker, ip: 10.1.${n >> 8}.${n & 255}}\n`,
    )
    expect(refusal(`topology:\n- {name: c, kind: ctl, ip: 10.0.0.1}\n${many.join('')}`)).toBe(
      'topology.yaml:1:1 topology: expected a list of 1..501 machines, got a list of 502',
    )
    const allowed = `topology:\n- {name: c, kind: ctl, ip: 10.0.0.1}\n${many.slice(1).join('')}`
    expect(parse(allowed).topology).toHaveLength(501)
  })

  test('M42: kind is ctl or worker', () => {
    expect(refusal(small.replace('kind: worker', 'kind: wroker'))).toBe(
      'topology.yaml:3:17 topology[1].kind: expected one of ctl, worker, got "wroker"; did you mean `worker`?',
    )
  })

  test.each([
    '10.0.0',
    '10.0.0.256',
    '010.0.0.1',
    'host',
    'fe80::1%eth0',
    '0.0.0.0',
    '0::0',
    '10.0.0.11 ',
    '::g',
  ])('M43: %j is no ip', (ip) => {
    expect(refusal(small.replace('10.0.0.11', JSON.stringify(ip)))).toBe(
      `topology.yaml:3:31 topology[1].ip: expected an IPv4 or IPv6 address like 10.0.0.11, got ${JSON.stringify(ip)}`,
    )
  })

  test.each(['fd00::1', '::1', '127.0.0.1'])('M43: %s is an ip', (ip) => {
    expect(parse(small.replace('10.0.0.11', `'${ip}'`)).topology[1]?.ip).toBe(ip)
  })
})

describe('exactly one controller', () => {
  test('T01/M44: two controllers are refused, with both names and ips in the message', () => {
    const text = small.replace('kind: worker', 'kind: ctl')
    const error = refusalOf(() => parse(text))
    for (const part of ['ctl-1 (10.0.0.10)', 'w1 (10.0.0.11)'])
      expect(error.message).toContain(part)
    expect(error.code).toBe('invalid_config')
    expect(error.problems).toEqual([
      {
        where: 'topology.yaml:3:17 topology[1].kind',
        what: '2 machines are of kind ctl, but exactly one must be: ctl-1 (10.0.0.10), w1 (10.0.0.11)',
      },
    ])
  })

  test('T01/M44: with another fault beside it, both ips are named still', () => {
    const text = `${small.replace('kind: worker', 'kind: ctl')}balancer: { port: 0 }\n`
    const said = refusal(text)
    expect(said).toContain('ctl-1 (10.0.0.10), w1 (10.0.0.11)')
    expect(said).toContain('balancer.port: expected a port')
  })

  test('T02/Q14: no controller is refused', () => {
    expect(refusal(`topology:\n${worker(1)}`)).toBe(
      'topology.yaml:1:1 topology: no machine is of kind ctl; exactly one must be',
    )
  })

  test('T02: an empty topology is refused', () => {
    expect(refusal('topology: []\n')).toContain(
      'expected a list of 1..501 machines, got a list of 0',
    )
    expect(refusal('')).toContain('topology.yaml:1:1: expected a mapping with the keys topology')
  })
})

describe('Q14: nothing is there twice', () => {
  test('a name', () => {
    expect(refusal(small.replace('w2', 'w1'))).toBe(
      'topology.yaml:4:7 topology[2].name: same name as w1 (topology[1]): w1',
    )
  })

  test('an ip with the same agent port', () => {
    expect(refusal(small.replace('10.0.0.12', '10.0.0.11'))).toBe(
      'topology.yaml:4:31 topology[2].ip: same ip and agent_port as w1 (topology[1]): 10.0.0.11:7071',
    )
  })

  test('an IPv6 address in another spelling', () => {
    const text = small.replace('10.0.0.11', "'fd00::1'").replace('10.0.0.12', "'FD00:0:0::0:1'")
    expect(refusal(text)).toContain('same ip and agent_port as w1 (topology[1]): [fd00::1]:7071')
  })

  test('Q15/Q23: one ip with several agent ports is fine, also beside the controller', () => {
    const shared = `topology:
  - { name: c, kind: ctl, ip: 127.0.0.1 }
  - { name: w1, kind: worker, ip: 127.0.0.1 }
  - { name: w2, kind: worker, ip: 127.0.0.1, agent_port: 7072 }
`
    expect(workersOf(parse(shared)).map(({ agent_port }) => agent_port)).toEqual([7071, 7072])
    expect(refusal(shared.replace('7072', '8080'))).toContain(
      'topology[2].agent_port: agent of w2 and balancer cannot both listen on port 8080',
    )
  })

  test('a port for api and balancer', () => {
    expect(refusal(`${small}balancer: { port: 7070 }\n`)).toBe(
      'topology.yaml:5:13 balancer.port: balancer and api cannot both listen on port 7070 (0.0.0.0, 10.0.0.10)',
    )
    const apart = `${small}api: { host: 127.0.0.1 }\nbalancer: { host: 10.0.0.10, port: 7070 }\n`
    expect(parse(apart).balancer.port).toBe(7070)
  })
})

describe('defaults', () => {
  test('S01: of all that the smallest topology leaves out, ports among it', () => {
    const config = parse(small)
    expect(config.api).toEqual({
      host: '10.0.0.10',
      port: 7070,
      admin_token: { file: '/var/lib/tucano/admin-token' },
      agent_token: { file: '/var/lib/tucano/agent-token' },
    })
    expect(config.balancer).toEqual({
      host: '0.0.0.0',
      port: 8080,
      trusted_proxies: [],
      threads: 0,
      access_log: 'off',
      connections_max: 50_000,
      connections_per_ip: 0,
    })
    expect(config.topology[1]).toEqual({
      name: 'w1',
      kind: 'worker',
      ip: '10.0.0.11',
      agent_port: 7071,
      labels: {},
      drain: false,
    })
    expect(config.alerts).toEqual({
      from: '',
      to: [],
      gather: '10s',
      reminder: '6h',
      digest_above: 5,
    })
  })

  test('Q05: of a restart', () => {
    const text = small.replace('10.0.0.11', '10.0.0.11, restart: { command: [reboot-it, w1] }')
    expect(parse(text).topology[1]?.restart).toEqual({
      command: ['reboot-it', 'w1'],
      attempts: 3,
      backoff: '5s',
      timeout: '60s',
    })
  })

  test('tokens follow store.folder', () => {
    const { api } = parse(
      `${small}store: { folder: /srv/tucano }\napi: { agent_token: { env: T } }\n`,
    )
    expect(api.admin_token).toEqual({ file: '/srv/tucano/admin-token' })
    expect(api.agent_token).toEqual({ env: 'T' })
  })

  test('two configurations share no mutable part', () => {
    parse(small).balancer.trusted_proxies.push('1.1.1.1')
    expect(parse(small).balancer.trusted_proxies).toEqual([])
  })
})

describe('alerts', () => {
  const smtp = `${small}alerts:\n  smtp: { host: mail.example.com }\n`

  test('mail needs a sender and a recipient', () => {
    expect(refusal(smtp)).toBe(
      'topology.yaml:5:1 alerts.from: missing; alerts.smtp needs a sender\n' +
        'topology.yaml:5:1 alerts.to: missing; alerts.smtp needs a recipient',
    )
    const mailed = parse(`${smtp}  from: tucano@example.com\n  to: [ops@example.com]\n`)
    expect(mailed.alerts.smtp).toEqual({
      host: 'mail.example.com',
      port: 587,
      security: 'starttls',
      timeout: '20s',
    })
  })

  test.each([
    'ops',
    '@example.com',
    'ops@',
    'ops@example.com\r\nBcc: all@example.com',
    'Ops <ops@example.com>',
    'a@b@c.d',
    'ops@exa mple.com',
    `${'a'.repeat(65)}@example.com`,
  ])('%j is no e-mail address', (address) => {
    const text = `${small}alerts: { to: [${JSON.stringify(address)}] }\n`
    expect(refusal(text)).toContain('alerts.to[0]: expected an e-mail address like ops@example.com')
  })

  test('a password that was written into the file is not repeated', () => {
    const said = refusal(smtp.replace('.com }', '.com, password: hunter2hunter2 }'))
    expect(said).toContain(
      'alerts.smtp.password: expected {file: <path>} or {env: <VARIABLE>}, got a string',
    )
    expect(said).not.toContain('hunter2')
  })
})

test('all problems of a file are named at once, in its order', () => {
  const text = `topology:
  - { name: Ctl, kind: ctl, ip: 10.0.0.10 }
  - { name: w1, kind: worker, ip: 10.0.0.11, agent_port: 22 }
  - { name: w1, kind: worker, ip: 10.0.0.12, drain: no }
balancer: { prot: 80 }
health: { sweep: 5 minutes }
`
  expect(problemsOf(() => parse(text)).map(({ where }) => where)).toEqual([
    'topology.yaml:2:7 topology[0].name',
    'topology.yaml:3:46 topology[1].agent_port',
    'topology.yaml:4:7 topology[2].name',
    'topology.yaml:4:46 topology[2].drain',
    'topology.yaml:5:13 balancer.prot',
    'topology.yaml:6:11 health.sweep',
  ])
})

describe('diffTopology', () => {
  test('says which workers came, went and changed', () => {
    const after = parse(`topology:\n${ctl}${worker(2, ', drain: true')}${worker(3)}`)
    const { added, removed, changed, restartRequired } = diffTopology(parse(small), after)
    expect([added, removed, changed].map((list) => list.map(({ name }) => name))).toEqual([
      ['w3'],
      ['w1'],
      ['w2'],
    ])
    expect(changed[0]?.drain).toBe(true)
    expect(restartRequired).toEqual([])
  })

  test('Q13: names what needs a restart; the balancer is told anew while it runs', () => {
    const after = parse(
      `${small.replace('10.0.0.10', '10.0.0.9')}balancer: { port: 80 }\nstore: { folder: /srv }\nalerts: { gather: 1s }\n`,
    )
    expect(diffTopology(parse(small), after).restartRequired).toEqual([
      'controller.ip',
      'api.admin_token',
      'api.agent_token',
      'api.host',
      'store.folder',
    ])
  })

  test('finds nothing between equals', () => {
    expect(diffTopology(parse(small), parse(small))).toEqual({
      added: [],
      removed: [],
      changed: [],
      restartRequired: [],
    })
  })
})
