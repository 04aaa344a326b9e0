// How an instance did, as a deployment is judged by it: what it failed, how long it took, and that
// none of it is lost when it leaves the table.

import { expect, test } from 'vitest'
import { countOf, latencyAt } from '#ctld/balancer/data-plane/latency.ts'
import { KEPT_MS } from '#ctld/balancer/data-plane/loop/departed.ts'
import type { Route } from '#ctld/ports.ts'
import { deadPort, route, target } from '#test/ctld/balancer/rig.ts'
import { createClient, get } from './client.ts'
import { answer, createOrigin, ok, type Seen } from './origin.ts'
import { instance, service, standingRig, until } from './world.ts'

async function world(serve: (seen: Seen) => void, more: Partial<Route> = {}) {
  const { rig, clock } = await standingRig()
  const origin = await createOrigin(rig, serve)
  await rig.publish(route([target('i1', origin.port)], more))
  return { rig, clock, origin, client: createClient(rig.port) }
}

test('answers of 500 and above are failed, others are not', async () => {
  const { rig, client } = await world((seen) => {
    seen.reply(answer('', '', `${seen.path.slice(1)} Any`))
  })
  for (const status of [200, 404, 499, 500, 503, 599]) await client.ask(get(`/${status}`))
  const { failed, latency } = instance(rig, 'i1')
  expect({ failed, answers: countOf(latency) }).toEqual({ failed: 3, answers: 6 })
})

test('no answer, an answer that is none, and half an answer fail once each', async () => {
  const { rig } = await world((seen) => {
    if (seen.path === '/half') seen.reply('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf')
    if (seen.path === '/worse') seen.reply('HTTP/1.1 500 No\r\nContent-Length: 9\r\n\r\nhalf')
    if (seen.path === '/odd') seen.reply('no HTTP\r\n\r\n')
    seen.socket.end()
  })
  const ask = async (path: string) => {
    const client = createClient(rig.port)
    client.send(get(path))
    await until(() => countOf(instance(rig, 'i1').latency) > 0 || service(rig).requests > 0)
  }
  await ask('/half')
  await until(() => service(rig).requests === 1)
  expect(instance(rig, 'i1').failed).toBe(1)
  await ask('/worse')
  await until(() => service(rig).requests === 2)
  expect(instance(rig, 'i1').failed).toBe(2)
  await ask('/odd')
  await until(() => service(rig).requests === 3)
  await ask('/none')
  await until(() => service(rig).requests === 4)
  const { failed, latency } = instance(rig, 'i1')
  expect({ failed, answers: countOf(latency) }).toEqual({ failed: 4, answers: 4 })
})

test('a connection that is not had fails no request: another instance may answer it', async () => {
  const { rig } = await standingRig()
  await rig.publish(route([target('i1', await deadPort())]))
  expect((await createClient(rig.port).ask(get('/'))).status).toBe(503)
  expect(instance(rig, 'i1')).toMatchObject({ failed: 0, latency: {}, connectErrors: 1 })
})

test('its time counts from when it was given the request, not from when that came in', async () => {
  const waiting: Seen[] = []
  const { rig, clock, origin } = await world((seen) => void waiting.push(seen), { inFlightMax: 1 })
  const [first, second] = [createClient(rig.port), createClient(rig.port)]
  first.send(get('/1'))
  await origin.untilSeen(1)
  second.send(get('/2'))
  await until(() => service(rig).waiting === 1)
  clock.advance(200)
  for (const seen of waiting.splice(0)) ok(seen)
  await first.answer()
  await origin.untilSeen(2)
  clock.advance(40)
  for (const seen of waiting.splice(0)) ok(seen)
  await second.answer()
  const { latency } = instance(rig, 'i1')
  expect(countOf(latency)).toBe(2)
  expect(Math.abs((latencyAt(latency, 0.5) ?? 0) - 40_000)).toBeLessThan(2_000)
  expect(Math.abs((latencyAt(latency, 1) ?? 0) - 200_000)).toBeLessThan(10_000)
})

test('the counts of one that left are told for a minute after its last request', async () => {
  const waiting: Seen[] = []
  const { rig, clock, origin, client } = await world(
    (seen) => {
      if (seen.path === '/slow') waiting.push(seen)
      else ok(seen)
    },
    { responseMs: 100 * KEPT_MS },
  )
  await client.ask(get('/'))
  client.send(get('/slow'))
  await origin.untilSeen(2)
  expect(instance(rig, 'i1')).toMatchObject({ inTable: 1, inFlight: 1 })
  const other = await createOrigin(rig)
  await rig.publish(route([target('i2', other.port)]))
  clock.advance(10 * KEPT_MS)
  expect(instance(rig, 'i1')).toMatchObject({ requests: 2, inTable: 0, inFlight: 1 })
  for (const seen of waiting) ok(seen)
  await client.answer()
  clock.advance(KEPT_MS - 1)
  expect(instance(rig, 'i1')).toMatchObject({ requests: 2, inTable: 0, inFlight: 0 })
  expect(countOf(instance(rig, 'i1').latency)).toBe(2)
  clock.advance(1)
  expect(Object.keys(service(rig).instances)).toEqual(['i2'])
})

test('one that comes back within that time counts on', async () => {
  const { rig, clock, origin, client } = await world((seen) => seen.reply(answer('', '', '500 No')))
  await client.ask(get('/'))
  await rig.publish(route([]))
  clock.advance(KEPT_MS / 2)
  await rig.publish(route([target('i1', origin.port)]))
  await client.ask(get('/'))
  expect(instance(rig, 'i1')).toMatchObject({ requests: 2, failed: 2, inTable: 1 })
})
