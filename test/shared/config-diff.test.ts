// What differs between two configurations.

import { expect, test } from 'vitest'
import { diffConfig } from '#shared/config-diff.ts'
import { forEachSeed } from '#test/helpers/seeds.ts'

test('tells keys that are new, gone and changed, sorted, with their whole path', () => {
  const before = { b: 1, a: { x: 'old', gone: true }, same: { deep: [1] } }
  const after = { b: 2, a: { x: 'new' }, c: null, same: { deep: [1] } }
  expect(diffConfig(before, after)).toEqual([
    { key: 'a.gone', before: true },
    { key: 'a.x', before: 'old', after: 'new' },
    { key: 'b', before: 1, after: 2 },
    { key: 'c', after: null },
  ])
})

test('a list is told whole, and the order of keys means nothing, in lists neither', () => {
  expect(diffConfig({ l: [{ a: 1, b: 2 }] }, { l: [{ b: 2, a: 1 }] })).toEqual([])
  expect(diffConfig({ a: 1, b: 2 }, { b: 2, a: 1 })).toEqual([])
  expect(diffConfig({ l: [1, 2] }, { l: [2, 1] })).toEqual([
    { key: 'l', before: [1, 2], after: [2, 1] },
  ])
})

test('against nothing, every key is new; a key that is undefined is not there', () => {
  expect(diffConfig(undefined, { a: { b: 1 }, c: undefined })).toEqual([{ key: 'a.b', after: 1 }])
})

test('what becomes another kind of value is told on both sides', () => {
  expect(diffConfig({ sticky: { cookie: 'c' } }, { sticky: true })).toEqual([
    { key: 'sticky', after: true },
    { key: 'sticky.cookie', before: 'c' },
  ])
})

test(
  'the other way round it tells the same keys with before and after exchanged',
  forEachSeed(200, (random) => {
    const value = (depth: number): unknown =>
      depth > 0 && random.chance(0.5)
        ? Object.fromEntries(
            ['a', 'b', 'c'].slice(random.int(0, 2)).map((key) => [key, value(depth - 1)]),
          )
        : random.pick([1, 2, 'x', true, [1], null])
    const [one, other] = [{ r: value(3) }, { r: value(3) }]
    const turned = diffConfig(other, one).map(({ key, before, after }) => ({
      key,
      ...(after === undefined ? {} : { before: after }),
      ...(before === undefined ? {} : { after: before }),
    }))
    expect(diffConfig(one, other)).toEqual(turned)
    expect(diffConfig(one, structuredClone(one))).toEqual([])
  }),
)
