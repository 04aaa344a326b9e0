// The agent's calls to its controller, against whatever a controller may answer.

import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { expect, onTestFinished, test } from 'vitest'
import { createControllerClient } from '#agentd/controller-client.io.ts'
import { TucanoError } from '#shared/errors.ts'
import { PROBLEM_TYPE, problemOf } from '#shared/problem.ts'
import type { Report } from '#shared/wire.ts'

const report: Report = {
  node: 'w1',
  agent: { version: '0.1.0', boot: 'boot', session: 'session' },
  sequence: 1,
  interval_ms: 2_000,
  epoch: 0,
  generation: 0,
  instances: [],
}

async function clientOf(answer: RequestListener, timeoutMs = 2_000) {
  const server = createServer(answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const controller = `http://127.0.0.1:${port}`
  return createControllerClient({ controller, name: 'w1', token: 'secret', timeoutMs })
}

test('M13: posts the report with its token to its own path, and gives the answer', async () => {
  let seen: unknown
  const client = await clientOf(async (request, response) => {
    const { method, url, headers } = request
    seen = { method, url, token: headers.authorization, body: JSON.parse(await text(request)) }
    response.end(JSON.stringify({ epoch: 1, generation: 2 }))
  })
  expect(await client.report(report)).toEqual({ epoch: 1, generation: 2 })
  expect(seen).toEqual({
    method: 'POST',
    url: '/v1/agents/w1/report',
    token: 'Bearer secret',
    body: report,
  })
})

test('Q15: problem details become the error that they stand for', async () => {
  const client = await clientOf((_request, response) => {
    const problem = problemOf(new TucanoError('forbidden', 'w1 is not in the topology'), 'id')
    response.writeHead(403, { 'content-type': PROBLEM_TYPE }).end(JSON.stringify(problem))
  })
  await expect(client.report(report)).rejects.toMatchObject({
    code: 'forbidden',
    message: 'w1 is not in the topology',
  })
})

test('S15: silence, nonsense, a redirect and a closed port are errors with a code', async () => {
  const codeOf = async (answer: RequestListener) =>
    (await clientOf(answer, 300)).report(report).catch((error: TucanoError) => error.code)
  expect(await codeOf(() => {})).toBe('timeout')
  expect(await codeOf((_request, response) => response.end('<html>'))).toBe('unavailable')
  expect(await codeOf((_request, response) => response.end('{"epoch":-1}'))).toBe('unavailable')
  expect(await codeOf((_request, response) => response.destroy())).toBe('unavailable')
  const away: RequestListener = (_request, response) =>
    response.writeHead(307, { location: 'http://127.0.0.1:1/' }).end()
  expect(await codeOf(away)).toBe('unavailable')
  const nobody = createControllerClient({
    controller: 'http://127.0.0.1:1',
    name: 'w1',
    token: 'secret',
  })
  await expect(nobody.report(report)).rejects.toMatchObject({ code: 'unavailable' })
})
