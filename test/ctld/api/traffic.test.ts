// Pausing, resuming and maintenance over HTTP: what becomes a command, and what is refused.

import { expect, test } from 'vitest'
import { PAGE_BYTES_MAX } from '#shared/traffic-control.ts'
import { aService, createFakeCtld } from '#test/fakes/ctld.ts'
import { createTestApi } from '#test/helpers/api.ts'

const PAUSE = '/v1/services/api/pause'
const MAINTENANCE = '/v1/services/api/maintenance'

test('pause, resume and maintenance become commands; their fields may be left out', async () => {
  const { ask, ctld } = createTestApi()
  const answers = [
    await ask('POST', PAUSE, { body: { for: '1.5s' } }),
    await ask('POST', PAUSE, { body: {} }),
    await ask('POST', PAUSE),
    await ask('POST', MAINTENANCE, { body: { page: '<h1>Soon</h1>' } }),
    await ask('POST', MAINTENANCE),
    await ask('POST', '/v1/services/api/resume'),
  ]
  expect(answers.map(({ statusCode }) => statusCode)).toEqual(Array(6).fill(200))
  expect(ctld.commands).toEqual([
    { kind: 'pause', service: 'api', forMs: 1_500 },
    { kind: 'pause', service: 'api', forMs: 30_000 },
    { kind: 'pause', service: 'api', forMs: 30_000 },
    { kind: 'maintenance', service: 'api', page: '<h1>Soon</h1>' },
    { kind: 'maintenance', service: 'api' },
    { kind: 'resume', service: 'api' },
  ])
})

test('a change of traffic is written to the log with who asked', async () => {
  const { ask, lines } = createTestApi()
  await ask('POST', PAUSE, { peer: '10.0.0.7' })
  expect(lines.map(({ fields }) => fields)).toContainEqual(
    expect.objectContaining({ role: 'admin', peer: '10.0.0.7', url: PAUSE, status: 200 }),
  )
})

test.each([
  [PAUSE, { for: '900ms' }, 'a duration like 250ms, 2s or 10m, 1s..10m'],
  [PAUSE, { for: '11m' }, '1s..10m'],
  [PAUSE, { for: 30 }, '1s..10m'],
  [PAUSE, { fro: '30s' }, 'did you mean `for`?'],
  [MAINTENANCE, { page: 'back soon' }, 'HTML, which begins with <, of at most 64 KiB'],
  [MAINTENANCE, { page: '<a\0b>' }, 'HTML'],
  [MAINTENANCE, { page: `<${'é'.repeat(PAGE_BYTES_MAX / 2)}` }, 'at most 64 KiB'],
  ['/v1/services/api/resume', { force: true }, 'takes no body'],
])('%s refuses %.40j', async (path, body, words) => {
  const { ask, ctld } = createTestApi()
  const answer = await ask('POST', path, { body })
  expect(answer.statusCode).toBe(400)
  expect(answer.json().detail).toContain(words)
  expect(ctld.commands).toEqual([])
})

test('a page of exactly 64 KiB is taken', async () => {
  const { ask } = createTestApi()
  const page = `<${'x'.repeat(PAGE_BYTES_MAX - 1)}`
  expect((await ask('POST', MAINTENANCE, { body: { page } })).statusCode).toBe(200)
})

test('a service that is not there is 404', async () => {
  const { ask } = createTestApi()
  for (const action of ['pause', 'resume', 'maintenance']) {
    expect((await ask('POST', `/v1/services/nope/${action}`)).statusCode).toBe(404)
  }
})

test('the record has the page, the list has not', async () => {
  const traffic = { state: 'maintenance', since: 1_000, page: '<h1>Soon</h1>' } as const
  const ctld = createFakeCtld({ configured_services: [aService({ traffic })] })
  const { ask } = createTestApi({ ctld })
  expect((await ask('GET', '/v1/services/api')).json().service.traffic).toEqual(traffic)
  const list = await ask('GET', '/v1/services')
  expect(list.json().services[0].traffic).toEqual({ state: 'maintenance', since: 1_000 })
})

test('a body that may be left out is said to be so in the document', async () => {
  const { ask } = createTestApi()
  const { paths } = (await ask('GET', '/v1/openapi.json')).json()
  const requiredOf = (path: string) => paths[path].post.requestBody.required
  expect(requiredOf('/v1/services/{name}/pause')).toBe(false)
  expect(requiredOf('/v1/services/{name}/maintenance')).toBe(false)
  expect(requiredOf('/v1/services/{name}/scale')).toBe(true)
})

test('a pause is answered when the balancer serves by it, not before', async () => {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const waits: number[] = []
  const inForce = (ms: number) => {
    waits.push(ms)
    return promise
  }
  const { ask } = createTestApi({ inForce })
  let isAnswered = false
  const asked = ask('POST', PAUSE).finally(() => {
    isAnswered = true
  })
  while (waits.length === 0) await new Promise(setImmediate)
  await new Promise(setImmediate)
  expect([waits, isAnswered]).toEqual([[5_000], false])
  resolve(true)
  expect((await asked).statusCode).toBe(200)
})

test('a balancer that does not take the table: the change is on record, and that is said', async () => {
  const { ask, ctld } = createTestApi({ inForce: async () => false })
  const answer = await ask('POST', PAUSE)
  expect(answer.statusCode).toBe(503)
  expect(answer.json().detail).toContain('the pause of api is on record, but not in force yet')
  expect(ctld.commands).toHaveLength(1)
})
