// Plans and simulations over the API: what the controller is asked, what is compared with what,
// and that nothing is submitted.

import { expect, test } from 'vitest'
import { TucanoError } from '#shared/errors.ts'
import { aConfig, aService, createFakeCtld, DIGEST } from '#test/fakes/ctld.ts'
import { aForecast } from '#test/fakes/forecast.ts'
import { createTestApi } from '#test/helpers/api.ts'

const OTHER = `sha256:${'c'.repeat(64)}`

const planOf = async (config: unknown, ctld = createFakeCtld()) => {
  const api = createTestApi({ ctld })
  const answer = await api.ask('POST', '/v1/plan', { body: { config } })
  expect(ctld.commands).toEqual([])
  return { answer, plan: answer.json(), ctld }
}

test('a plan tells each key that changes, before and after, and what would be done', async () => {
  const config = aConfig({ concurrency: 5, env: { MODE: 'fast' }, hosts: ['a.example'] })
  const { plan, ctld } = await planOf(config)
  expect(plan.changes).toEqual([
    { key: 'concurrency', before: 2, after: 5 },
    { key: 'env.MODE', after: 'fast' },
    { key: 'hosts', before: [], after: ['a.example'] },
  ])
  expect(plan).toMatchObject({ ...aForecast(), service: 'api', was: 1, revision: 2 })
  expect(ctld.questions).toEqual([{ commands: [{ kind: 'deploy', config }] }])
})

test('a plan of what is declared already changes nothing and makes no revision', async () => {
  const { plan } = await planOf(aConfig())
  expect(plan).toMatchObject({ changes: [], was: 1, revision: 1, image: 'stored' })
})

test('after a rollback the next revision is still the one after the last', async () => {
  const revisions = [1, 2, 3].map((revision) => ({
    ...{ revision, program: 1, config: aConfig(), at: 1 },
  }))
  const service = aService({ revision: 1, revisions })
  const ctld = createFakeCtld({ configured_services: [service] })
  const { plan } = await planOf(aConfig({ concurrency: 9 }), ctld)
  expect(plan).toMatchObject({ was: 1, revision: 4 })
})

test('the first plan of a service says that it is new', async () => {
  const { plan } = await planOf(aConfig({ name: 'web' }))
  expect(plan).toMatchObject({ was: null, revision: 1 })
  expect(plan.changes).toContainEqual({ key: 'name', after: 'web' })
})

test('an image need not be stored for a plan; where it is not, the plan says so', async () => {
  const image = { run: ['node', 'server.js'] }
  expect((await planOf(aConfig())).plan.image).toBe('stored')
  const other = await planOf(aConfig({ image: { ...image, digest: OTHER } }))
  expect(other.plan.image).toBe('to_upload')
  expect(other.plan.changes).toEqual([{ key: 'image.digest', before: DIGEST, after: OTHER }])
  const bare = await planOf(aConfig({ image: { ...image, path: '/srv/app' } }))
  expect(bare.plan.image).toBe('unknown')
  expect(JSON.stringify(bare.plan)).not.toContain('/srv/app')
})

test('a wrong key is named with its place, as in a deploy', async () => {
  const { answer, plan, ctld } = await planOf({ ...aConfig(), concurency: 3 })
  expect(answer.statusCode).toBe(400)
  expect(plan.problems[0].where).toBe('/config/concurency')
  expect(ctld.questions).toEqual([])
})

test('what a deploy would be refused with a plan is refused with', async () => {
  const ctld = createFakeCtld()
  ctld.failWith = new TucanoError('conflict', 'the host a.example is taken')
  const { answer } = await planOf(aConfig(), ctld)
  expect([answer.statusCode, answer.json().detail]).toEqual([409, 'the host a.example is taken'])
})

test('a simulation takes all that is given at once', async () => {
  const { ask, ctld } = createTestApi()
  const body = {
    kill: ['w1'],
    add: [{ name: 'w9', labels: { zone: 'a' } }, { name: 'w8' }],
    scale: { api: 7 },
    drain: ['w2'],
  }
  expect((await ask('POST', '/v1/simulate', { body })).json()).toEqual(aForecast())
  expect(ctld.questions).toEqual([
    {
      kill: ['w1'],
      add: [
        { name: 'w9', labels: { zone: 'a' } },
        { name: 'w8', labels: {} },
      ],
      commands: [
        { kind: 'scale', service: 'api', concurrency: 7 },
        { kind: 'drain', node: 'w2' },
      ],
    },
  ])
  expect(ctld.commands).toEqual([])
})

test('a simulation has limits', async () => {
  const { ask, ctld } = createTestApi()
  const names = (count: number) => Array.from({ length: count }, (_, index) => `n${index}`)
  const refused = [
    { kill: names(101) },
    { scale: Object.fromEntries(names(101).map((name) => [name, 1])) },
    { scale: { api: 1_001 } },
    { kill: ['W1'] },
    { kill: [] },
  ]
  for (const body of refused) {
    expect((await ask('POST', '/v1/simulate', { body })).statusCode).toBe(400)
  }
  expect(ctld.questions).toEqual([])
})

test('nodes come with whether the loss of any one would leave something unplaced', async () => {
  const spare = {
    state: 'lacking',
    lacks: [{ service: 'api', node: 'w1', count: 1, why: 'w2: is dead' }],
  } as const
  const { ask } = createTestApi({
    ctld: createFakeCtld({ spare: { ...spare, lacks: [...spare.lacks] } }),
  })
  expect((await ask('GET', '/v1/nodes')).json().spare).toEqual(spare)
})
