// The keys `secrets` and `volumes` of a service: what they may say, and what follows from volumes.

import { describe, expect, test } from 'vitest'
import {
  isSecretValue,
  SECRETS_PER_SERVICE_MAX,
  secretValue,
  volumeVariable,
} from '#shared/secrets-schema.ts'
import { type checkServiceConfig, completeServiceConfig } from '#shared/service-config.ts'
import { SECRET_BYTES_MAX } from '#shared/wire.ts'
import { aConfig } from '#test/fakes/ctld.ts'
import { complaints } from '#test/helpers/configurations.ts'

const refused = (over: Record<string, unknown>) => complaints(() => aConfig(over))

describe('secrets', () => {
  test('are given as a variable, as a file, or both', () => {
    const secrets = {
      'api-key': { variable: 'API_KEY' },
      tls: { file: 'tls.key' },
      both: { variable: 'BOTH', file: 'both' },
    }
    expect(aConfig({ secrets }).secrets).toEqual(secrets)
  })

  test.each([
    ['no way', { tls: {} }, /^\/secrets\/tls: expected one of variable or file/],
    ['a value in the configuration', { tls: 'hunter2' }, /^\/secrets\/tls: expected {variable/],
    ['an unknown way', { tls: { path: '/x' } }, /unknown key "path"/],
    ['a variable of ours', { tls: { variable: 'TUCANO_SECRETS' } }, /given by the agent/],
    ['PORT', { tls: { variable: 'PORT' } }, /given by the agent/],
    ['a file elsewhere', { tls: { file: '../x' } }, /the name of a file like tls\.key/],
    ['a file with a path', { tls: { file: 'a/b' } }, /the name of a file/],
    ['a hidden file', { tls: { file: '.x' } }, /the name of a file/],
    ['a name that is none', { 'A b': { file: 'x' } }, /expected a name/],
  ])('refuse %s', (_, secrets, words) => {
    expect(refused({ secrets })).toMatch(words)
  })

  test('refuse two in one variable, in one file, or in a variable of env', () => {
    const a = { variable: 'A', file: 'f' }
    expect(refused({ secrets: { one: a, two: a } })).toBe(
      '/secrets/two/variable: given twice: A\n/secrets/two/file: given twice: f',
    )
    expect(refused({ env: { A: 'x' }, secrets: { one: { variable: 'A' } } })).toBe(
      '/secrets/one/variable: given twice: A',
    )
  })

  test('refuse more than the limit', () => {
    const many = Array.from({ length: SECRETS_PER_SERVICE_MAX + 1 }, (_, index) => [
      `s${index}`,
      { file: `f${index}` },
    ])
    expect(refused({ secrets: Object.fromEntries(many) })).toMatch(/at most 32 secrets/)
  })
})

describe('the value of a secret', () => {
  test.each([
    ['text', 'ação', true],
    ['lines', '-----BEGIN\nA\r\n\tB\n', true],
    ['nothing', '', false],
    ['a NUL', 'a\0b', false],
    ['an escape', 'a\u001bb', false],
    ['half a character', '\ud800', false],
    ['as much as fits', 'x'.repeat(SECRET_BYTES_MAX), true],
    ['more than fits', 'x'.repeat(SECRET_BYTES_MAX + 1), false],
    ['more bytes than fit', 'ç'.repeat(SECRET_BYTES_MAX / 2 + 1), false],
  ])('may be %s: %s', (_, text, fits) => {
    expect(isSecretValue(text)).toBe(fits)
    expect(secretValue.safeParse(text).success).toBe(fits)
  })
})

describe('volumes', () => {
  test('keep a service on its node, alone there, and let no two instances overlap', () => {
    const config = aConfig({ volumes: ['data'] })
    expect(config).toMatchObject({
      volumes: ['data'],
      sticky: { node: true },
      max_per_node: 1,
      exclusive: true,
    })
  })

  test('of a tcp service too', () => {
    const tcp = { protocol: 'tcp', public_port: 5_432, volumes: ['data'] }
    expect(aConfig(tcp)).toMatchObject({ sticky: { node: true }, exclusive: true })
  })

  test('leave what is said as it is', () => {
    const said = { sticky: { node: false }, max_per_node: 3, exclusive: false }
    expect(aConfig({ volumes: ['data'], ...said })).toMatchObject({
      max_per_node: 3,
      exclusive: false,
    })
    expect(aConfig({ volumes: ['data'], ...said }).sticky?.node).not.toBe(true)
    const cookie = aConfig({ volumes: ['data'], sticky: { cookie: 'c' } })
    expect(cookie.sticky).toEqual({ node: true, cookie: 'c' })
    const overlapping = aConfig({ volumes: ['data'], update: { strategy: 'blue_green' } })
    expect(overlapping.exclusive).toBe(false)
  })

  test('change nothing for a service without one', () => {
    const { sticky, max_per_node, exclusive } = aConfig({ volumes: [] })
    expect({ sticky, max_per_node, exclusive }).toEqual({
      sticky: undefined,
      max_per_node: undefined,
      exclusive: false,
    })
  })

  test('refuse one given twice, and what is no name', () => {
    expect(refused({ volumes: ['a', 'a'] })).toBe('/volumes/1: given twice: "a"')
    expect(refused({ volumes: ['../a'] })).toMatch(/^\/volumes\/0: expected a name/)
    expect(refused({ volumes: 'data' })).toMatch(/^\/volumes: expected a list of at most 16 names/)
  })

  test('have variables of their own', () => {
    expect(volumeVariable('my-data')).toBe('TUCANO_VOLUME_MY_DATA')
  })
})

test('a configuration of an older version has neither, and says so', () => {
  const { secrets: _, volumes: __, ...old } = aConfig()
  const complete = completeServiceConfig(old as ReturnType<typeof checkServiceConfig>)
  expect(complete.secrets).toBeUndefined()
  expect(complete.volumes).toBeUndefined()
})
