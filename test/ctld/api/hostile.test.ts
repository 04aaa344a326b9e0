// Bodies made to break the door: each is refused with a 4xx that says where, and the next
// request is served.

import { expect, test } from 'vitest'
import type { z } from 'zod'
import { keysOf } from '#shared/schema-keys.ts'
import { serviceSchema } from '#shared/service-schema.ts'
import { reportSchema } from '#shared/wire.ts'
import { aConfig, aReport } from '#test/fakes/ctld.ts'
import { AGENT_TOKEN, createTestApi } from '#test/helpers/api.ts'
import { bodyFor, tableOfRoutes, titleOf, urlOf } from '#test/helpers/route-table.ts'

const json = { 'content-type': 'application/json' }
const withBody = tableOfRoutes().filter(({ bodyKind }) => bodyKind === 'json')
const tokenFor = (path: string) => (path.includes('/agents/') ? { token: AGENT_TOKEN } : {})

test.each([
  ['broken', '{"config": {"name" "x"}}', 400, 'line 1, column 20'],
  ['cut short', '{"config": {', 400, 'line 1'],
  ['not an object', '"text"', 400, 'expected'],
  ['nothing', 'null', 400, 'expected'],
  ['nested too deep', `{"config":${'['.repeat(33)}${']'.repeat(33)}}`, 400, 'nested deeper'],
  ['nested far too deep', '['.repeat(500_000), 400, 'not valid'],
  ['deep and closed', `${'['.repeat(200_000)}${']'.repeat(200_000)}`, 400, 'nested deeper'],
  ['with a prototype', '{"config":{"__proto__":{"admin":true}}}', 400, '__proto__'],
  ['with an escaped prototype', '{"config":{"__pr\\u006fto__":1}}', 400, '__proto__'],
  ['with a constructor', '{"constructor":{"prototype":{"a":1}}}', 400, 'constructor'],
  ['ten megabytes', `{"config":"${'x'.repeat(10_000_000)}"}`, 413, 'too large'],
  ['with seventy thousand keys', manyKeys(70_000), 400, 'and 21 more'],
])('a body that is %s is refused', async (_title, payload, status, words) => {
  const { app, ask } = createTestApi()
  const answer = await app.inject({
    method: 'POST',
    url: '/v1/services',
    headers: { ...json, authorization: 'Bearer admin-token-8d1f' },
    payload,
  })
  expect(answer.statusCode).toBe(status)
  expect(answer.json().detail).toContain(words)
  expect(answer.body.length).toBeLessThan(20_000)
  expect(({} as Record<string, unknown>).admin).toBeUndefined()
  expect((await ask('GET', '/v1/nodes')).statusCode).toBe(200)
})

test('a body of another type, or where none is taken, is refused', async () => {
  const { ask } = createTestApi()
  const text = { 'content-type': 'text/plain' }
  const gzip = { 'content-type': 'application/gzip' }
  const status = async (...request: Parameters<typeof ask>) => (await ask(...request)).statusCode
  expect(await status('POST', '/v1/services', { body: 'a=b', headers: text })).toBe(415)
  expect(await status('POST', '/v1/services', { body: 'x', headers: gzip })).toBe(415)
  expect(await status('POST', '/v1/images', { body: {} })).toBe(415)
  expect(await status('POST', '/v1/services')).toBe(400)
  expect(await status('POST', '/v1/services/api/stop', { body: { force: true } })).toBe(400)
  expect(await status('POST', '/v1/services/api/stop', { body: '', headers: json })).toBe(202)
})

test('an unknown field or query key is named, with what was meant', async () => {
  const { ask } = createTestApi()
  const body = { concurrency: 2, concurency: 3 }
  const field = (await ask('POST', '/v1/services/api/scale', { body })).json()
  expect(field.problems[0]).toEqual({
    where: '/concurency',
    what: expect.stringContaining('did you mean `concurrency`?'),
  })
  const query = (await ask('GET', '/v1/instances?servise=api')).json()
  expect(query.detail).toContain('the query')
  expect(query.problems[0].what).toContain('did you mean `service`?')
})

test('every JSON route refuses an unknown field (mass assignment)', async () => {
  for (const route of withBody) {
    const { ask } = createTestApi()
    const body = { ...(bodyFor(route) as object), role: 'admin' }
    const answer = await ask(route.method, urlOf(route), { body, ...tokenFor(route.path) })
    expect([titleOf(route), answer.statusCode]).toEqual([titleOf(route), 400])
    expect(answer.json().problems[0].where).toBe('/role')
  }
})

test('every field of every body refuses a value of another type', async () => {
  for (const route of withBody) {
    const { ask, ctld } = createTestApi()
    const good = bodyFor(route) as Record<string, unknown>
    for (const key of Object.keys(good)) {
      for (const wrong of [null, [], {}, 'NaN', -1, 0.5, 1e308, true, '\u0000']) {
        if (wrong === true && typeof good[key] === 'boolean') continue
        const body = { ...good, [key]: wrong }
        const answer = await ask(route.method, urlOf(route), { body, ...tokenFor(route.path) })
        const isFine = ['text', 'instances', 'value'].includes(key) && answer.statusCode === 200
        expect([titleOf(route), key, wrong, isFine || isRefused(answer.statusCode)]).toEqual([
          titleOf(route),
          key,
          wrong,
          true,
        ])
      }
    }
    // What takes any text, and an empty list of moves.
    const free = ['put_config', 'put_secret', 'rebalance']
    expect(ctld.commands.filter(({ kind }) => !free.includes(kind))).toEqual([])
  }
})

test('every key of a configuration and of a report, at any depth, refuses another type', async () => {
  const wide = aReport({
    metrics: {
      cpu: 0.1,
      cores: 1,
      load: 0,
      memory_total: 1,
      memory_used: 1,
      disk_total: 1,
      disk_used: 1,
      net_rx_per_s: 0,
      net_tx_per_s: 0,
    },
  })
  const { ask } = createTestApi()
  for (const [key, value] of mutants(serviceSchema, aConfig())) {
    const answer = await ask('POST', '/v1/services', { body: { config: value } })
    expect([key, answer.statusCode]).toEqual([key, 400])
  }
  for (const [key, value] of mutants(reportSchema, wide)) {
    const more = { body: value, token: AGENT_TOKEN }
    const answer = await ask('POST', '/v1/agents/w1/report', more)
    expect([key, isRefused(answer.statusCode)]).toEqual([key, true])
  }
})

test.each([
  '..%2fx',
  '%2e%2e',
  'a%00b',
  'A',
  'é',
  'аpi',
  'a'.repeat(300),
  'a%0d%0aSet-Cookie:x',
  '__proto__',
])('the name %s is refused', async (name) => {
  const { ask } = createTestApi()
  for (const path of [
    `/v1/services/${name}`,
    `/v1/nodes/${name}`,
    `/v1/nodes/${name}/agent/v1/x`,
  ]) {
    const answer = await ask('GET', encodeURI(decodeURI(path)))
    expect([400, 404]).toContain(answer.statusCode)
    expect(answer.headers['set-cookie']).toBeUndefined()
  }
})

test('a path that is no URL is 400', async () => {
  const { ask } = createTestApi()
  const answer = await ask('GET', '/v1/services/%zz')
  expect(answer.statusCode).toBe(400)
  expect(answer.headers['content-type']).toBe('application/problem+json')
})

const isRefused = (status: number): boolean => status >= 400 && status < 500

function manyKeys(count: number): string {
  return `{${Array.from({ length: count }, (_, index) => `"k${index}":1`).join(',')}}`
}

/** The document with each key of the schema in turn set to what no key may be. */
function* mutants(schema: z.ZodType, document: object): Generator<[string, unknown]> {
  for (const { key } of keysOf(schema)) {
    const path = key.split('.')
    if (key.includes('[]') || key.includes('*')) continue
    const copy = structuredClone(document) as Record<string, unknown>
    const last = path.pop() ?? ''
    let target: unknown = copy
    for (const step of path) target = (target as Record<string, unknown> | undefined)?.[step]
    if (typeof target !== 'object' || target === null) continue
    Object.assign(target, { [last]: { unexpected: [1e308] } })
    yield [key, copy]
  }
}
