// What tells of the end of a deployment is said when requests are routed by it, or a second later.

import { expect, test } from 'vitest'
import { createInForce } from '#ctld/balancer/in-force.ts'
import { createFakeCtld } from '#test/fakes/ctld.ts'
import { createTestApi } from '#test/helpers/api.ts'
import { createManualClock } from '#test/helpers/manual-clock.ts'

const TELLING = [
  '/v1/deployments/d-1',
  '/v1/deployments/d-1?wait=10s',
  '/v1/deployments',
  '/v1/services',
  '/v1/services/api',
  '/v1/events',
]

test.each(TELLING)('%s waits for the ack of the newest table', async (url) => {
  const { asked, isAnswered, inForce, settled } = rig(url)
  await settled()
  inForce.acked(4)
  await settled()
  expect(isAnswered()).toBe(false)
  inForce.acked(5)
  expect((await asked).statusCode).toBe(200)
})

test.each(TELLING)('%s is answered after a second all the same', async (url) => {
  const { asked, isAnswered, clock, settled } = rig(url)
  await settled()
  clock.advance(999)
  await settled()
  expect(isAnswered()).toBe(false)
  clock.advance(1)
  expect((await asked).statusCode).toBe(200)
})

test('a stream tells of an event when the table of its moment is in force', async () => {
  const clock = createManualClock()
  const inForce = createInForce(clock)
  const ctld = createFakeCtld()
  const { app } = createTestApi({ ctld, inForce: inForce.wait })
  inForce.published(1)
  ctld.addEvent('complete')
  const headers = { accept: 'text/event-stream', authorization: 'Bearer admin-token-8d1f' }
  const { stream } = {
    stream: (await app.inject({ url: '/v1/events', headers, payloadAsStream: true })).stream(),
  }
  let text = ''
  stream.on('data', (bytes) => {
    text += String(bytes)
  })
  while (text === '') await new Promise(setImmediate)
  for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate)
  expect(text).not.toContain('complete')
  inForce.acked(1)
  while (!text.includes('complete')) await new Promise(setImmediate)
  stream.destroy()
})

test('acks count for one connection, and for the tables up to theirs', async () => {
  const clock = createManualClock()
  const inForce = createInForce(clock)
  expect(await inForce.wait(1_000)).toBe(true)
  inForce.published(1)
  const first = inForce.wait(1_000)
  inForce.published(2)
  inForce.acked(1)
  expect(await first).toBe(true)
  const second = inForce.wait(1_000)
  inForce.acked(2)
  expect(await second).toBe(true)
  // Another program has not heard of it yet.
  inForce.connected()
  const third = inForce.wait(1_000)
  clock.advance(1_000)
  expect(await third).toBe(false)
  expect(clock.timers()).toBe(0)
})

function rig(url: string) {
  const clock = createManualClock()
  const inForce = createInForce(clock)
  inForce.published(5)
  const { ask } = createTestApi({ inForce: inForce.wait })
  let isAnswered = false
  const asked = ask('GET', url).finally(() => {
    isAnswered = true
  })
  const settled = async () => {
    for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate)
    while (clock.timers() === 0) await new Promise(setImmediate)
  }
  return { asked, isAnswered: () => isAnswered, inForce, clock, settled }
}
