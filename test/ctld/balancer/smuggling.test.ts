// One request in is one request out, with one meaning; what could have two is refused and its
// connection closed (RFC 9112 sections 2.2, 3.2, 5.1, 6.1-6.3 and 7.1).

import { expect, test } from 'vitest'
import { createRig, type Rig, route, target, textOf } from './rig.ts'

async function createEcho() {
  const rig = await createRig()
  const seen: string[] = []
  const program = await rig.program(async (incoming, response) => {
    // A body that breaks off is what most of these tests are about.
    const body = await textOf(incoming).catch(() => undefined)
    if (body === undefined) return
    seen.push(`${incoming.method} ${incoming.url} ${body}`.trim())
    response.end()
  })
  rig.publish(route([target('i1', program.port)]))
  return { rig, seen, [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose]() }
}

const statusesOf = (received: string) =>
  [...received.matchAll(/^HTTP\/1\.1 (\d+)/gm)].map(([, status]) => Number(status))

const POST = 'POST / HTTP/1.1\r\nHost: api\r\n'

test.each([
  [
    'a length and a coding',
    `${POST}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  ],
  ['two lengths', `${POST}Content-Length: 4\r\nContent-Length: 4\r\n\r\nbody`],
  ['two different lengths', `${POST}Content-Length: 4\r\nContent-Length: 5\r\n\r\nbody`],
  ['a length with a sign', `${POST}Content-Length: +4\r\n\r\nbody`],
  ['an empty length', `${POST}Content-Length: \r\n\r\nbody`],
  ['an unknown coding', `${POST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`],
  ['a coding that is not the last', `${POST}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`],
  ['a space before the colon', `${POST}Content-Length : 4\r\n\r\nbody`],
  ['a folded line', `${POST}X: a\r\n b\r\n\r\n`],
  ['a bare line feed', 'GET / HTTP/1.1\nHost: api\n\n'],
  ['a bare carriage return in a value', 'GET / HTTP/1.1\r\nHost: api\r\nX: a\rb\r\n\r\n'],
  ['a NUL in a value', 'GET / HTTP/1.1\r\nHost: api\r\nX: a\0b\r\n\r\n'],
  ['no Host', 'GET / HTTP/1.1\r\n\r\n'],
  ['two Hosts', 'GET / HTTP/1.1\r\nHost: api\r\nHost: other\r\n\r\n'],
  ['a target of another host', 'GET http://other/ HTTP/1.1\r\nHost: api\r\n\r\n'],
  [
    'a coding in HTTP/1.0',
    'POST / HTTP/1.0\r\nHost: api\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  ],
  ['a space in the target', 'GET /a b HTTP/1.1\r\nHost: api\r\n\r\n'],
])('B2: %s is 400, the connection ends, and no program sees it', async (_name, text) => {
  await using echo = await createEcho()
  const received = await echo.rig.raw(`${text}GET /smuggled HTTP/1.1\r\nHost: api\r\n\r\n`)
  expect(statusesOf(received)).toEqual([400])
  expect(received).toMatch(/connection: close/i)
  expect(echo.seen).toEqual([])
})

test('B2: another version is 505, the connection ends, and no program sees it', async () => {
  await using echo = await createEcho()
  const received = await echo.rig.raw('GET / HTTP/3.0\r\nHost: api\r\n\r\n')
  expect(statusesOf(received)).toEqual([505])
  expect(received).toMatch(/connection: close/i)
  expect(echo.seen).toEqual([])
})

test('B2: what follows a refused request on its connection reaches no program', async () => {
  await using echo = await createEcho()
  const fine = 'GET /fine HTTP/1.1\r\nHost: api\r\n\r\n'
  const twoHosts = 'GET / HTTP/1.1\r\nHost: api\r\nHost: api\r\n\r\n'
  const late = 'GET /late HTTP/1.1\r\nHost: api\r\n\r\n'
  for (let round = 0; round < 20; round += 1) {
    await echo.rig.ask('/warm')
    await echo.rig.raw(fine + twoHosts + late)
  }
  expect(echo.seen).not.toContain('GET /late')
})

test.each([
  ['a size that is no number', 'zz\r\nbody\r\n0\r\n\r\n'],
  ['a size with a sign', '+4\r\nbody\r\n0\r\n\r\n'],
  ['a size too large for a number', 'fffffffffffffffff\r\nbody\r\n0\r\n\r\n'],
  ['a piece longer than it says', '3\r\nbody\r\n0\r\n\r\n'],
])('B2: a body in pieces with %s reaches no program whole', async (_name, body) => {
  await using echo = await createEcho()
  await echo.rig.raw(`${POST}Transfer-Encoding: chunked\r\n\r\n${body}`)
  expect(echo.seen).toEqual([])
})

test('two requests in one write are two requests, in order', async () => {
  await using echo = await createEcho()
  const received = await echo.rig.raw(
    `${POST}Content-Length: 4\r\n\r\nbody` +
      `${POST}Transfer-Encoding: chunked\r\n\r\n2\r\nla\r\n2;x=y\r\nst\r\n0\r\n\r\n` +
      'GET /end HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n',
  )
  expect(statusesOf(received)).toEqual([200, 200, 200])
  expect(echo.seen).toEqual(['POST / body', 'POST / last', 'GET /end'])
})

test('B2: CONNECT and TRACE are 405', async () => {
  await using echo = await createEcho()
  const connect = await echo.rig.raw('CONNECT api:80 HTTP/1.1\r\nHost: api:80\r\n\r\n')
  expect(connect).toMatch(/^HTTP\/1\.1 405 .*\r\nAllow: GET/s)
  expect((await echo.rig.ask('/', { method: 'TRACE' })).status).toBe(405)
  expect(echo.seen).toEqual([])
})

test('B2: a head that is too large is 431', async () => {
  await using echo = await createEcho()
  const received = await echo.rig.raw(
    `GET / HTTP/1.1\r\nHost: api\r\nX: ${'x'.repeat(17_000)}\r\n\r\n`,
  )
  expect(statusesOf(received)).toEqual([431])
})

test('B2: a head that does not come is 408 after five seconds', { timeout: 15_000 }, async () => {
  await using echo = await createEcho()
  expect(statusesOf(await echo.rig.raw('GET / HTTP/1.1\r\nHost: a'))).toEqual([408])
})

test('every method that is forwarded arrives with its body, whatever its media type', async () => {
  await using echo = await createEcho()
  const methods = ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'QUERY']
  for (const method of methods) {
    const headers = { 'content-type': 'not a media type;;' }
    expect((await askOf(echo.rig, method, headers)).status).toBe(200)
  }
  expect(echo.seen).toEqual(methods.map((method) => `${method} / body`))
})

test('Q20: the request id is made or kept, and reaches the program and the client', async () => {
  await using rig = await createRig()
  const program = await rig.program((incoming, response) => {
    response.setHeader('X-Tuc-Inst', 'lie')
    response.end(`${incoming.headers['x-request-id']} ${incoming.headers.host}`)
  })
  rig.publish(route([target('i1', program.port)]))
  const kept = await rig.ask('/', { headers: { 'x-request-id': 'abc' } })
  expect(kept.body).toBe('abc api')
  expect(kept.headers['x-request-id']).toBe('abc')
  expect(kept.headers['x-tuc-inst']).toBe('i1')
  const made = await rig.ask('/')
  expect(made.body).toBe(`${made.headers['x-request-id']} api`)
  const lost = await rig.ask('/', { host: 'nobody' })
  expect(JSON.parse(lost.body).request_id).toBe(lost.headers['x-request-id'])
})

test('Q21: the answer passes with its status text, repeated headers, and without a body', async () => {
  await using rig = await createRig()
  const program = await rig.program(({ method, url }, response) => {
    if (url === '/gone') response.writeHead(404, 'Not Any More', { 'Content-Length': 0 }).end()
    else if (url === '/empty') response.writeHead(204).end()
    else if (method === 'HEAD') response.writeHead(200, { 'Content-Length': 42 }).end()
    else response.writeHead(200, { 'Set-Cookie': ['a=1', 'b=2'] }).end('x')
  })
  rig.publish(route([target('i1', program.port)]))
  const gone = await rig.raw('GET /gone HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n')
  expect(gone).toMatch(/^HTTP\/1\.1 404 Not Any More\r\n/)
  expect(await rig.ask('/empty')).toMatchObject({ status: 204, body: '' })
  const head = await rig.ask('/', { method: 'HEAD' })
  expect(head).toMatchObject({ status: 200, body: '', headers: { 'content-length': '42' } })
  expect((await rig.ask('/')).headers['set-cookie']).toEqual(['a=1', 'b=2'])
})

test('an HTTP/1.0 client gets an answer that it can read', async () => {
  await using rig = await createRig()
  const program = await rig.program((_incoming, response) => {
    response.write('in ')
    response.end('pieces')
  })
  rig.publish(route([target('i1', program.port)]))
  const received = await rig.raw('GET /svc/api/ HTTP/1.0\r\n\r\n')
  expect(received).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
  expect(received).toMatch(/\r\n\r\nin pieces$/)
})

function askOf(rig: Rig, method: string, headers: Record<string, string>) {
  return rig.ask('/', { method, headers: { ...headers, 'content-length': '4' }, body: 'body' })
}
