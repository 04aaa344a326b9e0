// Which fields reach the instance and which the client, on the wire, octet for octet.

import { expect, test } from 'vitest'
import type { Settings } from '#ctld/balancer/data-plane/loop/loop-table.ts'
import type { Route } from '#ctld/ports.ts'
import { route, target } from '#test/ctld/balancer/rig.ts'
import { createClient, get } from './client.ts'
import { answer, chunked, createOrigin, ok, type Seen } from './origin.ts'
import { liveRig } from './world.ts'

async function world(
  serve: (seen: Seen) => void = ok,
  settings: Partial<Settings> = {},
  more: Partial<Route> = {},
) {
  const rig = await liveRig(settings)
  const origin = await createOrigin(rig, serve)
  await rig.publish(route([target('i1', origin.port)], more))
  return { rig, origin, client: createClient(rig.port) }
}

/** What the instance is sent for a request with these lines. */
async function sent(lines: string, settings: Partial<Settings> = {}, path = '/a?b=1') {
  const { origin, client } = await world(ok, settings)
  await client.ask(get(path, lines))
  return origin.seen[0] as Seen
}

const OURS =
  'X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Tuc-Fwd-For: 127.0.0.1\r\n' +
  'Forwarded: for=127.0.0.1;proto=http;host="api"\r\nX-Forwarded-Host: api\r\nVia: 1.1 tucano\r\n' +
  'X-Request-Id: request-1\r\nX-Tuc-Inst: i1\r\n\r\n'

test('a request reaches the instance as it came, with what says who the client is', async () => {
  const lines = 'Accept: */*\r\nx-lower:  spaces \r\nCookie: a=b\r\nX_Mine: 1\r\nEmpty:\r\n'
  const { head } = await sent(lines)
  const passed = 'Accept: */*\r\nx-lower: spaces\r\nCookie: a=b\r\nX_Mine: 1\r\nEmpty: \r\n'
  expect(head).toBe(`GET /a?b=1 HTTP/1.1\r\nHost: api\r\n${passed}${OURS}`)
})

test('what a stranger says of itself, and what belongs to its connection, is not passed', async () => {
  const lies = [
    'X-Forwarded-For: 6.6.6.6',
    'X-Forwarded-Proto: https',
    'X-Forwarded-Host: evil',
    'X-Forwarded-Port: 1',
    'x-forwarded-anything: 1',
    'Forwarded: for=6.6.6.6',
    'X-Real-IP: 6.6.6.6',
    'X-Tuc-Inst: other',
    'X-Tuc-Admin: yes',
    'X_Tuc_Inst: other',
    'X_Forwarded_For: 6.6.6.6',
    'Content_Length: 5',
    'Transfer_Encoding: chunked',
    'Connection: close, X-Private, Host',
    'X-Private: 1',
    'Keep-Alive: timeout=9',
    'Proxy-Connection: keep-alive',
    'Proxy-Authorization: Basic eDp5',
    'TE: trailers',
    'Trailer: x',
    'Upgrade: h2c',
    'HTTP2-Settings: x',
  ]
  const { head } = await sent(`${lies.join('\r\n')}\r\n`)
  expect(head).toBe(`GET /a?b=1 HTTP/1.1\r\nHost: api\r\n${OURS}`)
})

test('a trusted proxy is believed, up to the first address that nobody vouches for', async () => {
  const seen = await sent(
    'X-Forwarded-For: 6.6.6.6, 7.7.7.7\r\nX-Forwarded-For: 10.1.1.1\r\n' +
      'X-Forwarded-Proto: https\r\nX-Forwarded-Host: shop\r\nX-Forwarded-Port: 443\r\n' +
      'Forwarded: for=7.7.7.7\r\nX-Real-IP: 7.7.7.7\r\nX-Tuc-Fwd-For: lie\r\n',
    { trustedProxies: ['127.0.0.1', '10.0.0.0/8'] },
  )
  expect(seen.fields('x-forwarded-for')).toEqual(['6.6.6.6, 7.7.7.7, 10.1.1.1, 127.0.0.1'])
  expect(seen.fields('x-tuc-fwd-for')).toEqual(['7.7.7.7'])
  expect(seen.fields('x-forwarded-proto')).toEqual(['https'])
  expect(seen.fields('x-forwarded-host')).toEqual(['shop'])
  expect(seen.fields('x-forwarded-port')).toEqual(['443'])
  expect(seen.fields('x-real-ip')).toEqual(['7.7.7.7'])
  expect(seen.fields('forwarded')).toEqual(['for=7.7.7.7, for=127.0.0.1;proto=http;host="api"'])
})

test.each(['\r', '\n', '\0', '\r\n X-Evil: 1'])(
  '%j in what a trusted proxy says is 400',
  async (bad) => {
    const { rig, origin } = await world(ok, { trustedProxies: ['127.0.0.1'] })
    for (const name of ['X-Forwarded-For', 'X-Forwarded-Proto', 'X-Forwarded-Host', 'Forwarded']) {
      const one = createClient(rig.port)
      const { status } = await one.ask(get('/', `${name}: 1.1.1.1${bad}X-Evil: 1\r\n`))
      expect(status).toBe(400)
    }
    expect(origin.seen).toEqual([])
  },
)

test('what a trusted proxy says adds no field, whatever is in it', async () => {
  const strange = '1.1.1.1 "x", \t<é>;host=a,,: y'
  const seen = await sent(
    `X-Forwarded-For: ${strange}\r\nX-Forwarded-Proto: ${strange}\r\nX-Forwarded-Host: ${strange}\r\n` +
      `Forwarded: ${strange}\r\nVia: ${strange}\r\n`,
    { trustedProxies: ['127.0.0.1'] },
  )
  const names = seen.head
    .split('\r\n')
    .slice(1, -2)
    .map((line) => line.split(':', 1)[0])
  expect(names).toEqual([
    ...['Host', 'X-Forwarded-For', 'X-Forwarded-Proto', 'X-Tuc-Fwd-For', 'X-Forwarded-Host'],
    ...['Forwarded', 'Via', 'X-Request-Id', 'X-Tuc-Inst'],
  ])
})

test('Via is a chain, an id that does no harm is kept, any other replaced', async () => {
  const { origin, client } = await world()
  const kept = await client.ask(
    get('/', 'Via: 1.0 fred, 1.1 p.example\r\nX-Request-Id: a.B_c-9\r\n'),
  )
  expect(kept.fields('x-request-id')).toEqual(['a.B_c-9'])
  const replaced = await client.ask(get('/', 'X-Request-Id: <b>\r\n'))
  expect(replaced.fields('x-request-id')).toEqual(['request-1'])
  expect(origin.seen.map(({ fields }) => [fields('via'), fields('x-request-id')])).toEqual([
    [['1.0 fred, 1.1 p.example, 1.1 tucano'], ['a.B_c-9']],
    [['1.1 tucano'], ['request-1']],
  ])
})

test('an answer reaches the client as it came, without what belongs to its connection', async () => {
  const lines =
    'Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nServer: mine\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\n' +
    'Via: 1.1 inner\r\nConnection: X-Private, keep-alive\r\nX-Private: 1\r\nKeep-Alive: timeout=9\r\n' +
    'Proxy-Authenticate: Basic\r\nTrailer: x\r\nUpgrade: h2c\r\nX-Tuc-Inst: lie\r\n' +
    'X-Request-Id: lie\r\nETag: "x"\r\n'
  const { client } = await world((seen) => seen.reply(answer('all', lines, '299 Fine by me')))
  const { head } = await client.ask(get('/'))
  expect(head).toBe(
    'HTTP/1.1 299 Fine by me\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nServer: mine\r\n' +
      'Set-Cookie: a=1\r\nset-cookie: b=2\r\nVia: 1.1 inner\r\nETag: "x"\r\n' +
      'X-Request-Id: request-1\r\nX-Tuc-Inst: i1\r\nContent-Length: 3\r\n\r\n',
  )
})

test('a prefix of ours is taken off, and said', async () => {
  const rig = await liveRig()
  const origin = await createOrigin(rig)
  await rig.publish(route([target('i1', origin.port)]))
  await createClient(rig.port).ask(get('/svc/api/x?y', '', 'nobody'))
  expect(origin.seen[0]?.path).toBe('/x?y')
  expect(origin.seen[0]?.fields('x-forwarded-prefix')).toEqual(['/svc/api'])
})

test('HTTP/1.0: a Host for the instance, no chunks for the client, closed unless it asks', async () => {
  const { rig, origin, client } = await world((seen) =>
    seen.reply(seen.path === '/chunks' ? chunked(['one', 'two'], 'X: y\r\n') : answer('all')),
  )
  const publish = route([target('i1', origin.port)], { hosts: [], paths: ['/'] })
  await rig.publish(publish)
  const kept = await client.ask('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n')
  expect(kept.fields('connection')).toEqual(['keep-alive'])
  expect(origin.seen[0]?.head).toMatch(/^GET \/ HTTP\/1\.1\r\nHost: api\r\n/)
  const last = await client.ask('GET / HTTP/1.0\r\n\r\n')
  expect(last.fields('connection')).toEqual(['close'])
  await client.rest()
  const other = createClient(rig.port)
  const asStream = await other.ask('GET /chunks HTTP/1.0\r\nConnection: keep-alive\r\n\r\n')
  expect(asStream).toMatchObject({ status: 200, body: 'onetwo' })
  expect([asStream.fields('connection'), asStream.fields('transfer-encoding')]).toEqual([
    ['close'],
    [],
  ])
})

test('HEAD, 204 and 304 have no body, and the length of what is not there', async () => {
  const { client, origin } = await world(({ path, reply }) => {
    if (path === '/204') reply('HTTP/1.1 204 No Content\r\n\r\n')
    else if (path === '/304') reply('HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n')
    else if (path === '/chunks') reply('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
    else reply('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n')
  })
  const head = (path: string) => client.ask(`HEAD ${path} HTTP/1.1\r\nHost: api\r\n\r\n`, 'HEAD')
  expect((await head('/')).fields('content-length')).toEqual(['9'])
  expect((await head('/chunks')).fields('content-length')).toEqual([])
  const none = await client.ask(get('/204'))
  expect([none.status, none.fields('content-length')]).toEqual([204, []])
  const same = await client.ask(get('/304'))
  expect([same.status, same.fields('content-length')]).toEqual([304, ['9']])
  expect(client.text()).toBe('')
  // All on one connection: nothing was left over.
  expect(origin.seen.map(({ on }) => on)).toEqual([1, 1, 1, 1])
})

test('chunks and their trailers pass both ways, their extensions do not', async () => {
  const { origin, client } = await world((seen) =>
    seen.reply(
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n' +
        `${seen.body.length.toString(16)};x=y\r\n${seen.body}\r\n0\r\nX-Sum: 1\r\nX-Tuc-Inst: lie\r\n\r\n`,
    ),
  )
  const { body } = await client.ask(
    'POST / HTTP/1.1\r\nHost: api\r\nTransfer-Encoding: chunked\r\n\r\n' +
      '4;a=b\r\nbody\r\n0\r\nX-Check: 2\r\nVia: lie\r\n\r\n',
  )
  expect(origin.seen[0]?.body).toBe('body|X-Check: 2')
  expect(body).toBe('body|X-Check: 2|X-Sum: 1')
})

test('a length stays a length, also an empty one', async () => {
  const { origin, client } = await world()
  await client.ask('POST / HTTP/1.1\r\nHost: api\r\nContent-Length: 0\r\n\r\n')
  await client.ask('POST / HTTP/1.1\r\nHost: api\r\n\r\n')
  const { body } = await client.ask('PUT / HTTP/1.1\r\nHost: api\r\nContent-Length: 3\r\n\r\nall')
  expect(body).toBe('/')
  expect(origin.seen.map((seen) => seen.fields('content-length'))).toEqual([['0'], [], ['3']])
  expect(origin.seen[2]?.body).toBe('all')
})
