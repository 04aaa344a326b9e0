import { expect, test } from 'vitest'
import { distance, suggest } from '#shared/suggest.ts'

test.each([
  ['', '', 0],
  ['', 'abc', 3],
  ['abc', 'abc', 0],
  ['abc', 'acb', 1],
  ['kitten', 'sitting', 3],
  ['prot', 'port', 1],
  ['ca', 'abc', 3],
])('the distance from %j to %j is %s', (a, b, expected) => {
  expect(distance(a, b)).toBe(expected)
  expect(distance(b, a)).toBe(expected)
})

test('suggests the nearest word, the first of equals, or none', () => {
  expect(suggest('concurency', ['name', 'concurrency'])).toBe('concurrency')
  expect(suggest('Prot', ['path', 'port', 'part'])).toBe('port')
  expect(suggest('zzz', ['name', 'port'])).toBeUndefined()
  expect(suggest('a'.repeat(100_000), ['name'])).toBeUndefined()
})
