// The seal: what it opens, and what it must not.

import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { fingerprintOf, seal, unseal } from '#ctld/secrets/seal.ts'
import { randomOf } from '#test/helpers/seeds.ts'

const key = createHash('sha256').update('key').digest()
const otherKey = createHash('sha256').update('other').digest()
const nonce = Buffer.alloc(12, 7)

test('S6: opens with its key and under its name alone', () => {
  const sealed = seal(key, nonce, 'secret db 1', 'correct horse')
  expect(unseal(key, 'secret db 1', sealed)).toBe('correct horse')
  expect(unseal(otherKey, 'secret db 1', sealed)).toBeUndefined()
  expect(unseal(key, 'secret db 2', sealed)).toBeUndefined()
  expect(unseal(key, 'secret dc 1', sealed)).toBeUndefined()
  expect(JSON.stringify(sealed)).not.toContain('horse')
})

test('is what NIST says AES-256-GCM is', () => {
  // Test case 14 of the specification of GCM by McGrew and Viega.
  const data = 'cea7403d4d606b6e074ec5d3baf39d18' + 'd0d1c8a799996bf0265b98b5d48ab919'
  const sealed = {
    nonce: Buffer.alloc(12).toString('base64'),
    data: Buffer.from(data, 'hex').toString('base64'),
  }
  expect(unseal(Buffer.alloc(32), '', sealed)).toBe('\0'.repeat(16))
  expect(seal(Buffer.alloc(32), Buffer.alloc(12), '', '\0'.repeat(16))).toEqual(sealed)
})

test('no flipped bit of a sealed value opens, whichever it is', () => {
  const random = randomOf(1)
  const { data } = seal(key, nonce, 'secret a 1', 'some value of some length')
  const bytes = Buffer.from(data, 'base64')
  for (let at = 0; at < bytes.length; at += 1) {
    const flipped = Buffer.from(bytes)
    flipped[at] = (flipped[at] ?? 0) ^ (1 << random.int(0, 7))
    const changed = { nonce: nonce.toString('base64'), data: flipped.toString('base64') }
    expect(unseal(key, 'secret a 1', changed), `byte ${at}`).toBeUndefined()
  }
})

test.each([
  ['nothing', { nonce: '', data: '' }],
  ['a short nonce', { nonce: 'AAAA', data: 'A'.repeat(64) }],
  ['less than a tag', { nonce: nonce.toString('base64'), data: 'AAAA' }],
])('refuses %s', (_, sealed) => {
  expect(unseal(key, 'secret a 1', sealed)).toBeUndefined()
})

test('a fingerprint tells keys apart and tells nothing of them', () => {
  expect(fingerprintOf(key)).toMatch(/^[0-9a-f]{16}$/)
  expect(fingerprintOf(key)).not.toBe(fingerprintOf(otherKey))
  expect(key.toString('hex')).not.toContain(fingerprintOf(key))
})
