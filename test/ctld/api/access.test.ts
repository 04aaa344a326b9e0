// Who may call what, and what a stranger learns: nothing.

import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { createApi } from '#ctld/api/api.io.ts'
import { problemSchema } from '#shared/problem.ts'
import { noCounters } from '#test/fakes/counters.ts'
import { createFakeCtld } from '#test/fakes/ctld.ts'
import { createFakeImageStore } from '#test/fakes/image-store.ts'
import { ADMIN_TOKEN, AGENT_TOKEN, createTestApi } from '#test/helpers/api.ts'
import { bodyFor, headersFor, tableOfRoutes, titleOf, urlOf } from '#test/helpers/route-table.ts'

const routes = tableOfRoutes()
const open = ['GET /healthz', 'GET /readyz']
const forAgents = [
  'POST /v1/agents/:name/report',
  'GET /v1/images/:digest',
  'HEAD /v1/images/:digest',
]

test('S1: every route but the two of health is closed without a token', async () => {
  for (const route of routes) {
    const { ask } = createTestApi()
    const answer = await ask(route.method, urlOf(route), { token: null, body: bodyFor(route) })
    const expected = open.includes(titleOf(route)) ? 200 : 401
    expect([titleOf(route), answer.statusCode]).toEqual([titleOf(route), expected])
  }
})

test('an unknown path tells a stranger nothing either', async () => {
  const { ask } = createTestApi()
  expect((await ask('GET', '/v1/nothing', { token: null })).statusCode).toBe(401)
  expect((await ask('PATCH', '/v1/nodes', { token: null })).statusCode).toBe(401)
})

test('S4: each role opens its own routes and no other', async () => {
  for (const route of routes) {
    const title = titleOf(route)
    const isOpen = open.includes(title)
    const roles = [
      { token: ADMIN_TOKEN, may: title !== 'POST /v1/agents/:name/report' },
      { token: AGENT_TOKEN, may: isOpen || forAgents.includes(title) },
      { token: 'wrong', may: isOpen, status: 401 },
    ]
    for (const { token, may, status } of roles) {
      const { ask } = createTestApi()
      const more = { token, body: bodyFor(route), headers: headersFor(route) }
      const { statusCode } = await ask(route.method, urlOf(route), more)
      const isRefused = statusCode === (status ?? 403)
      expect([title, token, isRefused]).toEqual([title, token, !may])
    }
  }
})

test('S5: after ten wrong tokens in a minute an address is told to wait', async () => {
  const { ask, clock } = createTestApi()
  const wrong = (peer: string) => ask('GET', '/v1/nodes', { token: 'guess', peer })
  for (let count = 0; count < 10; count++) expect((await wrong('10.0.0.9')).statusCode).toBe(401)
  clock.advance(20_000)
  const answer = await wrong('10.0.0.9')
  expect([answer.statusCode, answer.headers['retry-after']]).toEqual([429, '40'])
  expect((await wrong('10.0.0.8')).statusCode).toBe(401)
  expect((await ask('GET', '/v1/nodes', { peer: '10.0.0.9' })).statusCode).toBe(200)
  clock.advance(40_000)
  expect((await wrong('10.0.0.9')).statusCode).toBe(401)
})

test('a token in the query is refused even when it is right', async () => {
  const { ask } = createTestApi()
  for (const key of ['token', 'access_token', 'Authorization']) {
    const answer = await ask('GET', `/v1/nodes?${key}=${ADMIN_TOKEN}`)
    expect(answer.statusCode).toBe(400)
    expect(answer.body).not.toContain(ADMIN_TOKEN)
  }
})

test('two Authorization headers are refused', async () => {
  const { app } = createTestApi()
  const token = `Authorization: Bearer ${ADMIN_TOKEN}\r\n`
  const answer = await raw(app, `GET /v1/nodes HTTP/1.1\r\nHost: x\r\n${token}${token}\r\n`)
  expect(answer).toContain('HTTP/1.1 400')
})

test('what is not HTTP gets problem details and the end of the connection', async () => {
  const { app } = createTestApi()
  const answer = await raw(app, 'GET / HTTP/9.9\r\n\r\n')
  expect(answer).toContain('HTTP/1.1 400')
  expect(answer).toContain('application/problem+json')
  const large = await raw(app, `GET / HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(40_000)}\r\n\r\n`)
  expect(large).toContain('HTTP/1.1 431')
})

test('a wrong method is 405 and names the right ones', async () => {
  const { ask } = createTestApi()
  const cases = [
    ['PATCH', '/v1/services/api', 'DELETE, GET'],
    ['DELETE', '/v1/config', 'GET, PUT'],
    ['GET', '/v1/services/api/scale', 'POST'],
    ['POST', '/healthz', 'GET'],
    ['POST', '/v1/nodes/w1/agent/v1/instances', 'GET'],
  ]
  for (const [method, url, allow] of cases) {
    const answer = await ask(method ?? '', url ?? '')
    expect([answer.statusCode, answer.headers.allow]).toEqual([405, allow])
  }
})

test('S6: no answer and no log line has a token or the words of an internal error', async () => {
  for (const route of routes) {
    const ctld = createFakeCtld()
    ctld.failWith = new Error(`canary-1f3 at /srv/secret.ts ${ADMIN_TOKEN}`)
    ctld.report = async () => {
      throw new Error('canary-1f3')
    }
    const { ask, lines } = createTestApi({ ctld })
    for (const token of [ADMIN_TOKEN, AGENT_TOKEN, 'canary-token']) {
      const more = { token, body: bodyFor(route), headers: headersFor(route) }
      const answer = await ask(route.method, urlOf(route), more)
      const told = answer.body + JSON.stringify(answer.headers)
      for (const secret of ['canary-', ADMIN_TOKEN, AGENT_TOKEN, '/srv', 'node_modules']) {
        expect(told).not.toContain(secret)
      }
      if (answer.statusCode < 400 || route.method === 'HEAD') continue
      expect(answer.headers['content-type']).toBe('application/problem+json')
      const problem = problemSchema.parse(answer.json())
      expect(problem.request_id).toBe(answer.headers['x-request-id'])
    }
    expect(JSON.stringify(lines)).not.toContain(AGENT_TOKEN)
    expect(JSON.stringify(lines)).not.toContain('canary-token')
  }
})

test('S5: every change that is asked for is logged with who, what and the result', async () => {
  const { ask, lines } = createTestApi()
  await ask('POST', '/v1/services/nope/stop', { headers: { 'x-request-id': 'r-1' } })
  await ask('GET', '/v1/nodes')
  const audit = lines.filter(({ text }) => text === 'a change was asked for')
  expect(audit.map(({ fields }) => fields)).toEqual([
    {
      role: 'admin',
      peer: '127.0.0.1',
      method: 'POST',
      url: '/v1/services/nope/stop',
      status: 404,
      request_id: 'r-1',
    },
  ])
})

test('a request id is passed on when it is plain, and made when it is not', async () => {
  const { ask } = createTestApi()
  const idFor = async (given: string) =>
    (await ask('GET', '/v1/nodes', { headers: { 'x-request-id': given } })).headers['x-request-id']
  expect(await idFor('abc-1')).toBe('abc-1')
  expect(await idFor('a b<script>')).toMatch(/^[0-9a-f-]{36}$/)
})

test('an API with an empty token or one token for two roles is not made', () => {
  const make = (adminToken: string) => () =>
    createApi({
      ctld: createFakeCtld(),
      images: createFakeImageStore(),
      adminToken,
      agentToken: AGENT_TOKEN,
      log: { debug() {}, info() {}, warn() {}, error() {} },
      version: '0.1.0',
      counters: async () => noCounters(),
      inForce: async () => true,
      isStarted: () => true,
    })
  expect(make('')).toThrow('empty')
  expect(make(AGENT_TOKEN)).toThrow('same token')
})

/** Writes bytes to a listening API and reads until it closes the connection. */
async function raw(app: ReturnType<typeof createTestApi>['app'], text: string): Promise<string> {
  await app.listen({ host: '127.0.0.1', port: 0 }).catch((error: Error) => {
    if (!error.message.includes('already listening')) throw error
  })
  const { port } = app.server.address() as { port: number }
  const socket = connect(port, '127.0.0.1')
  socket.write(text.replace('Host: x\r\n', 'Host: x\r\nConnection: close\r\n'))
  let answer = ''
  for await (const chunk of socket) answer += chunk
  return answer
}
