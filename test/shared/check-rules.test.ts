// What a service may say of its checks, what is refused with which words, and who gets a hint.

import { expect, test } from 'vitest'
import { hintsOf } from '#shared/check-rules.ts'
import type { ServiceConfig } from '#shared/configuration.ts'
import {
  checkServiceConfig,
  completeServiceConfig,
  parseServiceConfig,
} from '#shared/service-config.ts'
import { configOf } from '#test/helpers/cluster.ts'
import { complaints } from '#test/helpers/configurations.ts'

const HEAD = 'name: a\nconcurrency: 1\nport: 3000\nimage: { path: ., run: [a] }\n'

const refusal = (yaml: string) => complaints(() => parseServiceConfig(HEAD + yaml, 's.yaml'))
const accepted = (yaml: string): ServiceConfig => parseServiceConfig(HEAD + yaml, 's.yaml')

test('a check is one of http, tcp and command', () => {
  expect(refusal('checks: { readiness: { interval: 1s } }')).toBe(
    's.yaml:5:11 checks.readiness: expected one of http, tcp, command, got none of them',
  )
  expect(refusal('checks: { liveness: { tcp: true, command: [a] } }')).toBe(
    's.yaml:5:11 checks.liveness: expected one of http, tcp, command, got tcp and command',
  )
})

test('health.path stands beside checks, unless none of them is left for it', () => {
  const path = 'health: { path: /h }\n'
  expect(accepted(`${path}checks: { readiness: { tcp: true } }`).health.path).toBe('/h')
  const all = '{ startup: { tcp: true }, readiness: { tcp: true }, liveness: { tcp: true } }'
  expect(refusal(`${path}checks: ${all}`)).toBe(
    's.yaml:5:11 health.path: asked by no check: startup, readiness and liveness have their own; ' +
      'remove it',
  )
})

test.each([
  ['status: 200-299'],
  ['status: 204'],
  ['status: [200, 204, 300-399]'],
  ['headers: { Authorization: "Bearer x" }'],
  ['answer_headers: { X-Ready: "" }'],
  ['answer_body: ready'],
  ['answer_body: [a, b]'],
])('takes %s', (key) => {
  expect(() => accepted(`checks: { readiness: { http: { path: /, ${key} } } }`)).not.toThrow()
})

test.each([
  ['status: 299-200', 'a status like 204'],
  ['status: 2xx', 'a status like 204'],
  ['status: []', 'a status like 204'],
  ['status: 99', 'a status like 204'],
  ['headers: { Connection: close }', 'none about the transfer'],
  ['headers: { Content-Length: "3" }', 'none about the transfer'],
  ['headers: { "X Y": "3" }', 'a name of letters'],
  ['answer_body: ""', 'text of 1..256 characters'],
  ['answer_body: []', 'text of 1..256 characters'],
  ['path: //host/', 'a path like /health'],
])('refuses %s', (key, words) => {
  expect(
    refusal(
      `checks: { readiness: { http: { path: /a, ${key} } } }`.replace('path: /a, path', 'path'),
    ),
  ).toContain(words)
})

test('the value of a header that is sent is never shown', () => {
  const canary = 'canary-of-a-token'
  const told = refusal(
    `checks: { readiness: { http: { path: /, headers: { "a b": ${canary} } } } }`,
  )
  expect(told).not.toContain(canary)
})

test('on_partition: keep, or a silence', () => {
  expect(accepted('on_partition: keep').on_partition).toBe('keep')
  expect(accepted('on_partition: { stop_after: 30s }').on_partition).toEqual({ stop_after: '30s' })
  expect(refusal('on_partition: stop')).toContain('expected keep, or a silence')
  expect(refusal('on_partition: { stop_after: 1s }')).toContain('5s..1d')
  expect(refusal('on_partition: { stop_aftr: 30s }')).toContain('did you mean `stop_after`?')
})

test('a configuration that an older version kept is complete without these keys', () => {
  const { checks: _, on_partition: __, ...old } = configOf('a', 1)
  const complete = completeServiceConfig(old as ServiceConfig)
  expect(complete.checks).toBeUndefined()
  expect(complete.on_partition).toBeUndefined()
  expect(hintsOf(complete)).toHaveLength(1)
})

test('what was accepted is accepted again, as the API answers it', () => {
  const yaml = 'health: { path: /h }\nchecks: { liveness: { command: [a] } }\non_partition: keep'
  const config = accepted(yaml)
  const again = { ...config, image: { run: ['a'], digest: `sha256:${'a'.repeat(64)}` } }
  expect(checkServiceConfig(JSON.parse(JSON.stringify(again))).checks).toEqual(config.checks)
})
