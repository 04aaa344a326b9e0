// The API of secrets: what goes in, what comes out, and that no refusal repeats a value.

import { expect, test } from 'vitest'
import { SECRET_BYTES_MAX } from '#shared/wire.ts'
import { createTestApi } from '#test/helpers/api.ts'

const CANARY = 'canary-4711'

test('S6: a list has names, versions and users, and no key for a value', async () => {
  const { ask } = createTestApi()
  const answer = await ask('GET', '/v1/secrets')
  expect(answer.statusCode).toBe(200)
  expect(answer.json()).toEqual({
    secrets: [
      {
        name: 'db-password',
        version: 2,
        updatedAt: 2_000,
        usedBy: [{ service: 'api', version: 1 }],
      },
    ],
  })
})

test('S6: a value is set, and neither the answer nor the log has it', async () => {
  const api = createTestApi()
  const answer = await api.ask('PUT', '/v1/secrets/db-password', { body: { value: CANARY } })
  expect(answer.statusCode).toBe(200)
  expect(answer.json()).toMatchObject({ name: 'db-password', version: 3, isNew: true })
  expect(api.ctld.commands).toEqual([{ kind: 'put_secret', name: 'db-password', value: CANARY }])
  expect(answer.body + JSON.stringify(api.lines)).not.toContain('canary')
  expect(api.lines.map(({ text }) => text)).toContain('a change was asked for')
})

test('removes one', async () => {
  const api = createTestApi()
  const answer = await api.ask('DELETE', '/v1/secrets/db-password')
  expect(answer.json()).toEqual({ name: 'db-password' })
  expect(api.ctld.commands).toEqual([{ kind: 'remove_secret', name: 'db-password' }])
})

test.each([
  ['nothing', ''],
  ['a control character', `${CANARY}\u0000`],
  ['too much', CANARY.padEnd(SECRET_BYTES_MAX + 1, 'x')],
  ['no text', 4_711],
  ['a list', [CANARY]],
  ['a mapping', { value: CANARY }],
])('S6: refuses %s as a value, without repeating it', async (_, value) => {
  const api = createTestApi()
  const answer = await api.ask('PUT', '/v1/secrets/db', { body: { value } })
  expect(answer.statusCode).toBe(400)
  expect(answer.body).toContain('/value')
  expect(answer.body + JSON.stringify(api.lines)).not.toMatch(/canary|4711/)
  expect(api.ctld.commands).toEqual([])
})

test('S6: a body that is not JSON is refused without repeating it', async () => {
  const api = createTestApi()
  const answer = await api.app.inject({
    method: 'PUT',
    url: '/v1/secrets/db',
    headers: { authorization: 'Bearer admin-token-8d1f', 'content-type': 'application/json' },
    payload: `{"value": ${CANARY}}`,
  })
  expect(answer.statusCode).toBe(400)
  expect(answer.body + JSON.stringify(api.lines)).not.toContain('canary')
})

test.each(['A', 'a_b', 'a%2F..', '-a', 'a'.repeat(64)])('refuses the name %s', async (name) => {
  const api = createTestApi()
  const answer = await api.ask('PUT', `/v1/secrets/${name}`, { body: { value: 'v' } })
  expect(answer.statusCode).toBe(400)
})
