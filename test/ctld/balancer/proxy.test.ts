import { expect, test } from 'vitest'
import { createRig, deadPort, route, target, textOf } from './rig.ts'

test('M36-M39: a request reaches the port of an instance of its service', async () => {
  await using rig = await createRig()
  const program = await rig.program((_request, response) => response.end('hello'))
  rig.publish(route([target('i1', program.port)]))
  const answer = await rig.ask('/')
  expect(answer).toMatchObject({ status: 200, body: 'hello' })
  expect(answer.headers['x-tuc-inst']).toBe('i1')
})

test('Q09: an unknown service is 404, a known one without instances 503 with Retry-After (T07)', async () => {
  await using rig = await createRig()
  rig.publish(route([]))
  const unknown = await rig.ask('/', { host: 'nobody' })
  expect(unknown.status).toBe(404)
  expect(unknown.headers['content-type']).toBe('application/problem+json')
  expect(JSON.parse(unknown.body)).toMatchObject({ title: 'service not found', status: 404 })
  const stopped = await rig.ask('/')
  expect(stopped.status).toBe(503)
  expect(stopped.headers['retry-after']).toBe('1')
})

test('Q09: Host in any case and with a port, then the path; only /svc/<name>/ is stripped', async () => {
  await using rig = await createRig()
  const program = await rig.program(({ url }, response) => response.end(url))
  const more = { hosts: ['api', 'shop.example'], paths: ['/shop', '/svc/api/'] }
  rig.publish(route([target('i1', program.port)], more))
  expect((await rig.ask('/a?b=%20c', { host: 'Shop.Example:80' })).body).toBe('/a?b=%20c')
  expect((await rig.ask('/svc/api/a//b?c', { host: 'x' })).body).toBe('/a//b?c')
  expect((await rig.ask('/svc/api', { host: 'x' })).body).toBe('/')
  expect((await rig.ask('/svc/api?q', { host: 'x' })).body).toBe('/?q')
  expect((await rig.ask('/shop/a', { host: 'x' })).body).toBe('/shop/a')
  expect((await rig.ask('/shopping', { host: 'x' })).status).toBe(404)
})

test('Q09: the address passes as it came: dots, double slashes, broken escapes, long queries', async () => {
  await using rig = await createRig()
  const program = await rig.program(({ url }, response) => response.end(url))
  rig.publish(route([target('i1', program.port)]))
  for (const path of ['/a/../b', '//a', '/%zz', `/?${'q'.repeat(8_000)}`, '/a%2Fb', '/a:b']) {
    expect((await rig.ask(path)).body).toBe(path)
  }
})

test('Q09: after a refused connection a POST goes, whole, to the next instance', async () => {
  await using rig = await createRig()
  const program = await rig.program(async (request, response) => {
    response.end(await textOf(request))
  })
  rig.publish(route([target('dead', await deadPort()), target('live', program.port)]))
  for (let round = 0; round < 4; round += 1) {
    const answer = await rig.ask('/', { method: 'POST', body: 'precious' })
    expect(answer).toMatchObject({ status: 200, body: 'precious' })
    expect(answer.headers['x-tuc-inst']).toBe('live')
  }
  expect(rig.observed.map(({ kind }) => kind)).toEqual(['unreachable'])
})
