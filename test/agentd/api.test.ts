// The door of the agent: what it lets in, and how much.

import { expect, test } from 'vitest'
import { createAgentApi } from '#agentd/api/server.io.ts'
import { INSTANCES_PER_NODE_MAX } from '#shared/wire.ts'
import { createAgentWorld, spec } from './agent-world.ts'

const quiet = () => {}
const log = { debug: quiet, info: quiet, warn: quiet, error: quiet }
const headers = { authorization: 'Bearer token-of-the-agent' }

async function open() {
  const world = createAgentWorld()
  await world.start()
  const agentd = world.agent()
  const api = createAgentApi({
    agentd,
    token: 'token-of-the-agent',
    log,
    logPath: () => '/no/such/file',
    buildLog: async (digest) => (digest.endsWith('aa') ? ['make', 'done'] : undefined),
  })
  return { world, api }
}

test('S1: every route but /healthz wants the token', async () => {
  const { api } = await open()
  expect((await api.inject({ url: '/healthz' })).json()).toMatchObject({ status: 'ok' })
  const routes = [
    { method: 'GET', url: '/v1/status' },
    { method: 'PUT', url: '/v1/assignment' },
    { method: 'GET', url: '/v1/instances/a/log' },
    { method: 'GET', url: `/v1/builds/sha256:${'a'.repeat(64)}/log` },
    { method: 'GET', url: '/elsewhere' },
  ] as const
  for (const route of routes) {
    expect((await api.inject(route)).statusCode, route.url).toBe(401)
    const wrong = { authorization: 'Bearer another-token' }
    expect((await api.inject({ ...route, headers: wrong })).statusCode).toBe(401)
  }
})

test('M26: takes an order with as many instances as a node may have', async () => {
  const { api, world } = await open()
  const env = Object.fromEntries(
    Array.from({ length: 20 }, (_, index) => [`KEY_${index}`, 'value']),
  )
  const instances = Array.from({ length: INSTANCES_PER_NODE_MAX }, (_, index) =>
    spec(`instance-${index}`, { env, want: 'stop' }),
  )
  const payload = { node: 'w1', epoch: 1, generation: 1, instances }
  let answer: Awaited<ReturnType<typeof api.inject>> | undefined
  void api.inject({ method: 'PUT', url: '/v1/assignment', headers, payload }).then((response) => {
    answer = response
  })
  while (answer === undefined) await world.clock.settle()
  expect(answer.json()).toEqual({ accepted: true, epoch: 1, generation: 1 })
  expect(world.agent().status().instances).toHaveLength(INSTANCES_PER_NODE_MAX)
})

test('gives the log of a build, and says when there is none', async () => {
  const { api } = await open()
  const of = (digit: string) =>
    api.inject({ url: `/v1/builds/sha256:${digit.repeat(64)}/log`, headers })
  expect((await of('a')).body).toBe('make\ndone\n')
  expect((await of('b')).statusCode).toBe(404)
  expect((await api.inject({ url: '/v1/builds/latest/log', headers })).statusCode).toBe(400)
  const many = await api.inject({ url: '/v1/instances/a/log?lines=1000000', headers })
  expect(many.statusCode).toBe(400)
})
