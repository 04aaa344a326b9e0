// tucano logs against agents made of a few lines of HTTP, and without any.

import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { aNode, anInstance, aService } from '#test/fakes/ctld.ts'
import { createTestCli } from '#test/helpers/cli.ts'

type Asked = { url: string; response: ServerResponse }

/** Tells of each request; the test answers. */
async function createAgent(onAsked: (asked: Asked) => void): Promise<number> {
  const server = createServer((request, response) => {
    response.writeHead(200, { 'content-type': 'text/plain' })
    response.flushHeaders()
    onAsked({ url: request.url ?? '', response })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

const first = anInstance({ id: 'aaaa-00000001' })
const second = anInstance({ id: 'aaaa-00000002', node: 'w2' })

test('all instances of a service, each line with node and short id', async () => {
  const port = await createAgent(({ url, response }) => response.end(`said by ${url}\n`))
  const nodes = [aNode({ agent_port: port }), aNode({ name: 'w2', agent_port: port })]
  const { tucano } = await createTestCli({ instances: [first, second], nodes })
  expect(await tucano('logs', 'api', '-n', '7')).toEqual({
    code: 0,
    err: '',
    out:
      'w1/00000001 | said by /v1/instances/aaaa-00000001/log?lines=7\n' +
      'w2/00000002 | said by /v1/instances/aaaa-00000002/log?lines=7\n',
  })
  const { out } = await tucano('logs', '00000002')
  expect(out).toBe('said by /v1/instances/aaaa-00000002/log?lines=100\n')
  const { out: json } = await tucano('logs', '00000002', '--json', '-n', '1')
  expect(JSON.parse(json)).toMatchObject({ node: 'w2', instance: 'aaaa-00000002' })
})

test('-f follows, goes to a new instance when one moves, and ends with Ctrl-C', async () => {
  const open: Asked[] = []
  const port = await createAgent((asked) => {
    open.push(asked)
    asked.response.write(`hello ${open.length}\n`)
  })
  const nodes = [aNode({ agent_port: port }), aNode({ name: 'w2', agent_port: port })]
  const { begin, ctld } = await createTestCli({ instances: [first], nodes })
  const running = begin(['logs', 'api', '-f'])
  await running.said(/w1\/00000001 \| hello 1/)
  open[0]?.response.write('more\n')
  await running.said(/w1\/00000001 \| more/)

  ctld.step({ instances: [anInstance({ id: first.id, state: 'unexpected_crashed' }), second] })
  open[0]?.response.end('last words\n')
  ctld.addEvent('instance changed')
  await running.said(/last words/)
  await running.said(/w2\/00000002 \| hello 2/)
  running.interrupt()
  expect((await running.done).code).toBe(130)
  expect(open.map(({ url }) => url)).toEqual([
    '/v1/instances/aaaa-00000001/log?lines=100&follow=true',
    '/v1/instances/aaaa-00000002/log?lines=100&follow=true',
  ])
})

test('a connection that breaks is opened again where the log ended', async () => {
  const open: Asked[] = []
  const port = await createAgent((asked) => {
    open.push(asked)
    asked.response.write(`hello ${open.length}\n`)
  })
  const { begin } = await createTestCli({
    instances: [first],
    nodes: [aNode({ agent_port: port })],
  })
  const running = begin(['logs', '00000001', '-f'])
  await running.said(/hello 1/)
  open[0]?.response.destroy()
  await running.said(/hello 2/)
  expect(open[1]?.url).toContain('lines=0&follow=true')
  running.interrupt()
  expect((await running.done).code).toBe(130)
})

test('of a failed instance that its agent has forgotten, the end that the controller has', async () => {
  const server = createServer((_request, response) => {
    const problem = {
      type: 'urn:tucano:problem:not_found',
      title: 'Not found',
      status: 404,
      detail: 'there is no instance',
      code: 'not_found',
      request_id: 'r-1',
    }
    response.writeHead(404, { 'content-type': 'application/problem+json' })
    response.end(JSON.stringify(problem))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  const failure = { error: 'exited', log_tail: ['Error: x', '    at y'] }
  const failed = anInstance({ id: 'aaaa-00000009', state: 'failed_to_start', failure })
  const nodes = [aNode({ agent_port: port })]
  const { tucano } = await createTestCli({ instances: [failed], nodes })
  expect(await tucano('logs', '00000009')).toEqual({
    code: 0,
    out: 'Error: x\n    at y\n',
    err: 'w1 keeps this output no longer; its last lines were:\n',
  })
})

test('logs of an instance whose agent is away say so', async () => {
  const cli = await createTestCli({ nodes: [aNode({ agent_port: 1 })] })
  const { code, err } = await cli.tucano('logs', 'api')
  expect(code).toBe(1)
  expect(err).toContain('the agent of w1 refused the connection')
})

test('logs of a service of which nothing lives: the end of those that ended last', async () => {
  const failure = { error: 'exited with code 1', log_tail: ['Error: x'] }
  const failed = anInstance({ id: 'aaaa-00000009', state: 'failed_to_start', failure })
  const cli = await createTestCli({ instances: [failed], configured_services: [aService()] })
  const { code, out, err } = await cli.tucano('logs', 'api')
  expect({ code, out }).toEqual({ code: 0, out: 'w1/00000009 | Error: x\n' })
  expect(err).toContain('no instance of api lives')
  expect(err).toContain('w1/00000009  failed to start: exited with code 1')
  expect(err).toContain('tucano logs INSTANCE-ID works for 00000009')
})

test('logs of a service that never had an instance', async () => {
  const cli = await createTestCli({ instances: [], configured_services: [aService()] })
  expect(await cli.tucano('logs', 'api')).toMatchObject({ code: 0, err: 'api has no instance\n' })
})
