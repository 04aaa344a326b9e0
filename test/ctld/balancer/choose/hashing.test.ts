import { expect, test } from 'vitest'
import { hash32, mix32 } from '#ctld/balancer/data-plane/choose/hashing.ts'
import { forEachSeed } from '#test/helpers/seeds.ts'

test('of the mixer are the known answers', () => {
  // fmix32 of MurmurHash3.
  expect([0, 1, 0xffffffff].map(mix32)).toEqual([0, 0x514e28b7, 0x81f16f39])
})

test('a text has one hash, another seed has another', () => {
  expect(hash32('10.0.0.1')).toBe(hash32('10.0.0.1'))
  expect(hash32('10.0.0.1', 1)).not.toBe(hash32('10.0.0.1'))
  expect(hash32('')).not.toBe(hash32('\0'))
})

test(
  'texts that differ in one character alone differ in about half of the bits of their hash',
  forEachSeed(20, (random) => {
    const texts = Array.from(
      { length: 500 },
      () => `10.0.${random.int(0, 255)}.${random.int(0, 24)}`,
    )
    const differing = texts.map((text) => bitsOf(hash32(`${text}1`) ^ hash32(`${text}2`)))
    const mean = differing.reduce((sum, bits) => sum + bits, 0) / texts.length
    expect(mean).toBeGreaterThan(14)
    expect(mean).toBeLessThan(18)
  }),
)

function bitsOf(number: number): number {
  return [...(number >>> 0).toString(2)].filter((digit) => digit === '1').length
}
