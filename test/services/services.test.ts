import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { parseServiceConfig } from '#shared/service-config.ts'
import { ask, spawnService, startService } from '#test/helpers/service-process.ts'

const names = ['html', 'number-fact', 'trivial-js']
const readService = (...path: string[]) =>
  readFileSync(join(import.meta.dirname, '../../services', ...path), 'utf8')

test('the services carry equal copies of what each needs to serve', () => {
  const copies = new Set(names.map((name) => readService(name, 'serve.ts')))
  expect(copies.size).toBe(1)
})

test('trivial-js answers any path with who forwarded it and which instance answers', async () => {
  await using service = await startService('trivial-js')
  expect((await ask(service, '/any/path?x')).body).toBe(
    'hello, world! (fwd by no X-Tuc-Fwd-For) (inst no X-Tuc-Inst)',
  )
  const headers = { 'X-Tuc-Fwd-For': '10.0.0.9', 'X-Tuc-Inst': 'i1' }
  expect(await ask(service, '/', { headers, method: 'POST' })).toMatchObject({
    status: 200,
    body: 'hello, world! (fwd by 10.0.0.9) (inst i1)',
  })
})

test('html shows the instance and the client, with their markup made harmless', async () => {
  await using service = await startService('html')
  const headers = { 'X-Tuc-Fwd-For': `<b>"&'`, 'X-Tuc-Inst': 'i1' }
  const { status, body, headers: answered } = await ask(service, '/any', { headers })
  expect({ status, type: answered['content-type'] }).toEqual({
    status: 200,
    type: 'text/html; charset=utf-8',
  })
  expect(body).toMatch(/<h1>Hello, Tucano!<\/h1>\s*<h2>Instance<\/h2>\s*<p>i1<\/p>/)
  expect(body).toMatch(/<h2>Client IP<\/h2>\s*<p>&lt;b&gt;&quot;&amp;&#39;<\/p>\s*<hr>\s*<p><a /)
  expect((await ask(service, '/')).body).toContain('<p>no X-Tuc-Inst</p>')
})

describe.each(names)('%s', { timeout: 20_000 }, (name) => {
  test('has a service.yaml that names it and how to run it', () => {
    const config = parseServiceConfig(readService(name, 'service.yaml'), 'service.yaml')
    expect(config).toMatchObject({
      name,
      concurrency: 3,
      hosts: [`${name}.localhost`],
      image: { path: '.', run: ['node', 'server.ts'] },
    })
  })

  test.each([{}, { PORT: '' }, { PORT: 'x' }, { PORT: '65536' }])(
    'does not start with %o',
    async (env: Record<string, string>) => {
      const child = spawnService(name, env)
      const complaint = text(child.stderr as NonNullable<typeof child.stderr>)
      expect((await once(child, 'exit'))[0]).toBe(1)
      expect(await complaint).toContain('PORT')
    },
  )

  test('does not start on a port that is taken', async () => {
    await using first = await startService(name)
    const child = spawnService(name, { PORT: String(first.port) })
    const complaint = text(child.stderr as NonNullable<typeof child.stderr>)
    expect((await once(child, 'exit'))[0]).toBe(1)
    expect(await complaint).toContain('EADDRINUSE')
  })

  test.each(['SIGINT', 'SIGTERM'] as const)(
    'closes idle and unused connections on %s and ends with 0',
    async (signal) => {
      await using service = await startService(name)
      const unused = connect(service.port, '127.0.0.1')
      await once(unused, 'connect')
      const agent = new Agent({ keepAlive: true })
      const sent = request({ host: '127.0.0.1', port: service.port, path: '/hello', agent }).end()
      const [response] = await once(sent, 'response')
      await text(response)
      expect(await service.stop(signal)).toBe(0)
      unused.destroy()
      agent.destroy()
    },
  )
})
