import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import {
  byToken,
  cookieValue,
  setCookie,
  tokenOf,
} from '#ctld/balancer/data-plane/choose/sticky.ts'
import { forEachSeed } from '#test/helpers/seeds.ts'

describe('the token of an instance', () => {
  test.each([
    // Known answers of FNV-1a with 64 bits.
    ['', 'cbf29ce484222325'],
    ['a', 'af63dc4c8601ec8c'],
    ['foobar', '85944171f73967e8'],
  ])('of %j is %s', (instance, token) => {
    expect(tokenOf(instance)).toBe(token)
  })

  test(
    'is what whole numbers of 64 bits say',
    forEachSeed(200, (random) => {
      const instance = createHash('sha256').update(String(random.random())).digest('hex')
      let hash = 0xcbf29ce484222325n
      for (const byte of Buffer.from(instance)) {
        hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n)
      }
      expect(tokenOf(instance)).toBe(hash.toString(16).padStart(16, '0'))
    }),
  )

  test('leads back to it', () => {
    const list = [{ instance: 'a' }, { instance: 'b' }]
    const found = byToken(list)
    expect(found.get(tokenOf('b'))).toBe(list[1])
    expect(found.get(tokenOf('c'))).toBeUndefined()
  })
})

describe('a cookie', () => {
  test.each([
    ['tucano=1', '1'],
    ['a=b; tucano=1; c=d', '1'],
    ['a=b;tucano=1;c=d', '1'],
    ['a=b; \ttucano=1 ; c=d', '1'],
    ['tucano=', ''],
    ['tucano=1; tucano=2', '1'],
    ['tucano=a=b', 'a=b'],
    ['xtucano=2; tucano=1', '1'],
    ['tucanox=2; tucano=1', '1'],
    ['x=tucano=2; tucano=1', '1'],
    ['x=a tucano=2; tucano=1', '1'],
  ])('in %j is %j', (header, value) => {
    expect(cookieValue(header, 'tucano')).toBe(value)
  })

  test.each(['', 'a=b', 'tucano', 'Tucano=1', 'x=tucano=2', 'x=a tucano=2', 'tucanox=1', '; ;'])(
    'is not in %j',
    (header) => {
      expect(cookieValue(header, 'tucano')).toBeUndefined()
    },
  )

  test('with a name of signs is found by that name', () => {
    expect(cookieValue('axb=1; a.b=2', 'a.b')).toBe('2')
  })

  test('is set for the whole site, and no script reads it', () => {
    expect(setCookie('tucano', 'af63dc4c8601ec8c')).toBe(
      'tucano=af63dc4c8601ec8c; Path=/; HttpOnly; SameSite=Lax',
    )
  })
})
