// What reaches an agent through the controller, and what comes back.

import { createServer, type IncomingMessage, type Server } from 'node:http'
import { afterEach, expect, test } from 'vitest'
import { aNode, createFakeCtld } from '#test/fakes/ctld.ts'
import { ADMIN_TOKEN, AGENT_TOKEN, createTestApi } from '#test/helpers/api.ts'

type Reply = { status: number; body?: string; headers?: Record<string, string> }

const open: { close(): unknown }[] = []
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

test("an instance's log comes from its agent, which gets the controller's token", async () => {
  const { api, asked } = await withAgent({
    status: 200,
    body: 'line 1\n',
    headers: { 'content-type': 'text/plain', 'set-cookie': 'a=1', 'x-internal': 'yes' },
  })
  const answer = await api.ask('GET', '/v1/instances/i-1/log?lines=5', {
    headers: { 'x-request-id': 'r-9', cookie: 'b=2', 'x-tucano-secret': 's' },
  })
  expect([answer.statusCode, answer.body]).toEqual([200, 'line 1\n'])
  expect(answer.headers['set-cookie']).toBeUndefined()
  expect(answer.headers['x-internal']).toBeUndefined()
  const [request] = asked
  expect(request?.url).toBe('/v1/instances/i-1/log?lines=5')
  expect(request?.headers).toMatchObject({
    authorization: `Bearer ${AGENT_TOKEN}`,
    'x-request-id': 'r-9',
  })
  expect(JSON.stringify(request?.headers)).not.toContain(ADMIN_TOKEN)
  expect(request?.headers.cookie).toBeUndefined()
  expect(request?.headers['x-tucano-secret']).toBeUndefined()
})

test("any other route of an agent's API can be read, by GET alone", async () => {
  const { api, asked } = await withAgent({ status: 200, body: '[]' })
  const url = '/v1/nodes/w1/agent/v1/builds/sha256:aa?tail=1'
  expect((await api.ask('GET', url)).body).toBe('[]')
  expect(asked.map((request) => request.url)).toEqual(['/v1/builds/sha256:aa?tail=1'])
  expect((await api.ask('PUT', '/v1/nodes/w1/agent/v1/assignment')).statusCode).toBe(405)
  expect(asked).toHaveLength(1)
})

test('an answer of 503 comes back as it is, and nothing is asked twice', async () => {
  const { api, asked } = await withAgent({
    status: 503,
    body: 'busy',
    headers: { 'retry-after': '1' },
  })
  const answer = await api.ask('GET', '/v1/instances/i-1/log')
  expect([answer.statusCode, answer.body]).toEqual([503, 'busy'])
  expect(asked).toHaveLength(1)
})

test("an agent that refuses the controller's token is a 502, not the client's 401", async () => {
  const { api } = await withAgent({ status: 401, body: 'no', headers: { 'content-length': '2' } })
  const answer = await api.ask('GET', '/v1/instances/i-1/log')
  expect(answer.statusCode).toBe(502)
  expect(answer.json().detail).toBe("the agent of w1 refused the controller's token")
})

test('an agent that is down is a 502 in words', async () => {
  const { api, server } = await withAgent({ status: 200 })
  await new Promise((resolve) => server.close(resolve))
  const answer = await api.ask('GET', '/v1/instances/i-1/log')
  expect(answer.statusCode).toBe(502)
  expect(answer.headers['content-type']).toBe('application/problem+json')
  expect(answer.json()).toMatchObject({
    code: 'agent_failed',
    detail: 'the agent of w1 refused the connection',
  })
})

test('what is unknown or leads elsewhere is refused before any agent is asked', async () => {
  const { api, asked } = await withAgent({ status: 200 })
  const status = async (url: string) => (await api.ask('GET', url)).statusCode
  expect(await status('/v1/instances/i-9/log')).toBe(404)
  expect(await status('/v1/nodes/w9/agent/v1/instances')).toBe(404)
  for (const path of ['..%2f..%2fx', 'v1/%2e%2e/x', '%2f%2fevil.example', 'a%00b', 'a?b%23c', '']) {
    expect([path, await status(`/v1/nodes/w1/agent/${path}`)]).toEqual([path, expect.any(Number)])
  }
  expect(await status('/v1/instances/i-1/log?lines=99999999')).toBe(400)
  expect(asked.filter(({ url }) => url?.includes('..') || url?.startsWith('//'))).toEqual([])
})

test('a followed log arrives as it is written, and ends with its reader', async () => {
  const { api, log, ended } = await withFollowedLog()
  const reader = new AbortController()
  const lines = await follow(api, reader.signal)
  expect((await lines?.read())?.value).toBe('first\n')
  log.write('second\n')
  expect((await lines?.read())?.value).toBe('second\n')
  reader.abort()
  await ended
})

test('a followed log does not hold up a stop of the controller', async () => {
  const { api, ended } = await withFollowedLog()
  const lines = await follow(api)
  expect((await lines?.read())?.value).toBe('first\n')
  await api.app.close()
  await ended
  await expect(lines?.read()).rejects.toThrow()
})

async function withFollowedLog() {
  const log = { write: (_text: string) => {} }
  const ended = Promise.withResolvers<void>()
  const { api } = await withAgent((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/plain' })
    log.write = (text) => response.write(text)
    response.once('close', ended.resolve)
    log.write('first\n')
  })
  return { api, log, ended: ended.promise }
}

async function follow({ app }: ReturnType<typeof createTestApi>, signal?: AbortSignal) {
  const base = await app.listen({ host: '127.0.0.1', port: 0 })
  const answer = await fetch(`${base}/v1/instances/i-1/log?follow=true`, {
    headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
    ...(signal === undefined ? {} : { signal }),
  })
  return answer.body?.pipeThrough(new TextDecoderStream()).getReader()
}

type Answerer = (request: IncomingMessage, response: import('node:http').ServerResponse) => void

async function withAgent(reply: Reply | Answerer) {
  const asked: IncomingMessage[] = []
  const server: Server = createServer((request, response) => {
    asked.push(request)
    if (typeof reply === 'function') reply(request, response)
    else response.writeHead(reply.status, reply.headers).end(reply.body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const api = createTestApi({ ctld: createFakeCtld({ nodes: [aNode({ agent_port: port })] }) })
  open.push({ close: () => server.close() }, { close: () => api.app.close() })
  return { api, asked, server }
}
