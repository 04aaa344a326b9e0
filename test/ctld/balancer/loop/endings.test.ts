// Who ended a request and in which phase: once in the counters, once in the access log, and
// nothing is left in flight.

import { expect, test } from 'vitest'
import { route, target } from '#test/ctld/balancer/rig.ts'
import { get, post } from './client.ts'
import { cases, loggedWorld as world } from './ending-cases.ts'
import { answer, ok, type Seen } from './origin.ts'
import { instance, service, until } from './world.ts'

test.each(cases)('$it: $ending $status', async ({ ending, status, error, serve, act }) => {
  const given = await world(serve ?? ok)
  await act(given)
  const { rig, lines } = given
  await until(() => service(rig).requests === 1)
  const told = service(rig)
  expect(told).toMatchObject({ inFlight: 0, waiting: 0, requests: 1 })
  expect(told.endings).toEqual({ [ending]: 1 })
  expect(told.statuses).toEqual({ [status]: 1 })
  const all = await lines()
  expect(all).toHaveLength(1)
  const [by, phase] = ending.split(' ')
  expect(all[0]).toMatchObject({ ended_by: by, phase, status, service: 'api' })
  if (error !== undefined) expect(all[0]?.error).toContain(error)
  expect(rig.plane.counters().connections.open).toBe(0)
})

test('what ends well is counted by its status, with its octets, and ended by nobody', async () => {
  const { rig, clock, client, origin, lines } = await world((seen) => {
    clock.advance(3)
    seen.reply(answer(`${seen.body}${seen.body}`, '', seen.path === '/b' ? '418 Teapot' : '200 OK'))
  })
  const one = client()
  await one.ask(post('/a?secret=1', 'body'))
  await one.ask(post('/b', 'other'))
  await one.ask(
    'POST /c HTTP/1.1\r\nHost: api\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n',
  )
  expect(origin.seen).toHaveLength(3)
  expect(service(rig)).toMatchObject({
    requests: 3,
    statuses: { 200: 2, 418: 1 },
    endings: {},
    queued: 0,
    retries: 0,
    bytesIn: 11,
    bytesOut: 22,
    total: { count: 3, sumUs: 9_000 },
    firstByte: { count: 3, sumUs: 9_000 },
    queue: { count: 0 },
  })
  expect(instance(rig, 'i1')).toMatchObject({ requests: 3, reuses: 2, connectAttempts: 1 })
  const all = await lines()
  expect(
    all.map(({ path, status, bytes_in, bytes_out, reused, ended_by, total_ms }) => [
      path,
      status,
      bytes_in,
      bytes_out,
      reused,
      ended_by,
      total_ms,
    ]),
  ).toEqual([
    ['/a', 200, 4, 8, false, '', 3],
    ['/b', 418, 5, 10, true, '', 3],
    ['/c', 200, 2, 4, true, '', 3],
  ])
  expect(all[0]).toMatchObject({
    client: '127.0.0.1',
    instance: 'i1',
    method: 'POST',
    host: 'api',
    queue_ms: 0,
    first_byte_ms: 3,
    request_id: 'request-1',
  })
})

test('only who really waited is counted as queued, with the time that it took', async () => {
  const held: Seen[] = []
  const { rig, clock, client, origin, publish, lines } = await world((seen) => void held.push(seen))
  await publish({ inFlightMax: 1 })
  const [first, second] = [client(), client()]
  first.send(get('/1'))
  await origin.untilSeen(1)
  second.send(get('/2'))
  await until(() => service(rig).waiting === 1)
  clock.advance(250)
  ok(held[0] as Seen)
  await origin.untilSeen(2)
  ok(held[1] as Seen)
  await second.answer()
  expect(service(rig)).toMatchObject({ queued: 1, queue: { count: 1, sumUs: 250_000 } })
  expect((await lines()).map(({ path, queue_ms }) => [path, queue_ms])).toEqual([
    ['/1', 0],
    ['/2', 250],
  ])
})

test('a retry stands in the log with the instance that answered', async () => {
  const { rig, client, origin, lines } = await world((seen) =>
    seen.fields('x-tuc-inst')[0] === 'i1' ? void seen.socket.destroy() : ok(seen),
  )
  await rig.publish(
    route([target('i1', origin.port), target('i2', origin.port)], { balance: 'round_robin' }),
  )
  await client().ask(get('/'))
  expect(service(rig)).toMatchObject({ requests: 1, retries: 1, endings: {} })
  expect(await lines()).toMatchObject([{ instance: 'i2', retries: 1, ended_by: '', status: 200 }])
})

test('what belongs to no service is counted and logged as well', async () => {
  const { rig, client, lines } = await world(ok)
  await client().ask(get('/', '', 'nobody'))
  await client().ask('nonsense\r\n\r\n')
  expect(rig.plane.counters().rejected).toEqual({ 400: 1, 404: 1 })
  expect(await lines()).toMatchObject([
    { status: 404, host: 'nobody', ended_by: 'balancer', phase: 'request', service: '' },
    { status: 400, host: '', ended_by: 'balancer', phase: 'request', service: '' },
  ])
})
