// The controller's calls to agents, against small real servers.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { afterEach, expect, test } from 'vitest'
import { ANSWER_BYTES_MAX, createAgentClient } from '#ctld/agent-manager/agent-client.io.ts'
import type { TucanoError } from '#shared/errors.ts'
import type { Assignment } from '#shared/wire.ts'
import { aMachine } from '#test/fakes/ctld.ts'

const servers: { close(): unknown }[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})

const assignment: Assignment = { node: 'w1', epoch: 3, generation: 9, instances: [] }
const client = createAgentClient({ agentToken: 'agent-token' })

test('M11: an order is put with the token, and its answer is read', async () => {
  const { machine, asked } = await anAgent(200, { accepted: true, epoch: 3, generation: 9 })
  const answer = await client.order(machine, assignment)
  expect(answer).toEqual({ accepted: true, epoch: 3, generation: 9 })
  expect(asked).toEqual([
    { line: 'PUT /v1/assignment', authorization: 'Bearer agent-token', body: assignment },
  ])
})

test('I8: a stale order is an answer, whether as such or within problem details', async () => {
  const plain = await anAgent(409, { accepted: false, epoch: 4, generation: 1 })
  const problem = await anAgent(409, { code: 'stale_order', status: 409, epoch: 4, generation: 1 })
  for (const { machine } of [plain, problem]) {
    const answer = await client.order(machine, assignment)
    expect(answer).toEqual({ accepted: false, epoch: 4, generation: 1 })
  }
})

test.each([
  [401, {}, "refused the controller's token"],
  [500, {}, 'answered an order with HTTP 500'],
  [409, { code: 'conflict' }, 'answered an order with HTTP 409'],
  [200, { accepted: 'yes' }, 'answered an order with HTTP 200'],
  [200, 'x'.repeat(ANSWER_BYTES_MAX + 1), 'answered too much'],
  [302, {}, 'gave no valid answer'],
])('HTTP %d with another body is an error in words', async (status, body, words) => {
  const { machine } = await anAgent(status, body)
  const error = await client.order(machine, assignment).catch((thrown: TucanoError) => thrown)
  expect(error).toMatchObject({ code: 'agent_failed', message: expect.stringContaining(words) })
})

test('an agent that says nothing is given up after the total timeout', async () => {
  const { machine } = await anAgent(200, undefined)
  const hasty = createAgentClient({ agentToken: 'agent-token', orderTimeoutMs: 300 })
  const error = await hasty.order(machine, assignment).catch((thrown: TucanoError) => thrown)
  expect(error).toMatchObject({
    code: 'timeout',
    message: `the agent of w1 (127.0.0.1:${machine.agent_port}) did not answer within 300 ms`,
  })
})

test('an agent that is not there refuses the connection', async () => {
  const { machine, server } = await anAgent(200, {})
  await new Promise((resolve) => server.close(resolve))
  await expect(client.probe(machine, 1_000)).rejects.toMatchObject({
    code: 'agent_failed',
    message: expect.stringContaining('refused the connection'),
  })
})

test('a probe is good when the health endpoint answers 200 in time', async () => {
  const good = await anAgent(200, { status: 'ok' })
  await client.probe(good.machine, 1_000)
  expect(good.asked[0]?.line).toBe('GET /healthz')
  const bad = await anAgent(503, {})
  await expect(client.probe(bad.machine, 1_000)).rejects.toThrow('HTTP 503')
  const silent = await anAgent(200, undefined)
  await expect(client.probe(silent.machine, 50)).rejects.toMatchObject({ code: 'timeout' })
})

type Asked = { line: string; authorization: string | undefined; body: unknown }

/** An agent that answers all with this; undefined: it takes the request and says nothing. */
async function anAgent(status: number, body: unknown) {
  const asked: Asked[] = []
  const server = createServer(async (request: IncomingMessage, response: ServerResponse) => {
    let text = ''
    for await (const chunk of request) text += chunk
    const { method, url, headers } = request
    const { authorization } = headers
    asked.push({ line: `${method} ${url}`, authorization, body: text && JSON.parse(text) })
    if (body === undefined) return
    const location = status === 302 ? { location: 'http://169.254.169.254/' } : {}
    response.writeHead(status, location)
    response.end(typeof body === 'string' ? body : JSON.stringify(body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  servers.push({
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  })
  const { port } = server.address() as { port: number }
  return { asked, server, machine: aMachine({ agent_port: port }) }
}
