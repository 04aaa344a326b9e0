import { expect, test } from 'vitest'
import { jsonErrorOffset } from '#shared/json-syntax.ts'

test.each([
  ['', 0],
  ['x', 0],
  ['{"a": x}', 6],
  ['{"a" 1}', 5],
  ['{a: 1}', 1],
  ['{"a": 1,}', 8],
  ['[1, 2', 5],
  ['[1 2]', 3],
  ['[01]', 1],
  ['[1.]', 1],
  ['[1]]', 3],
  ['[1}', 2],
  ['{"a": "\n"}', 6],
  ['{"a": "\\x"}', 6],
  ['nul', 0],
  ['[truex]', 1],
  ['1 2', 2],
  [']', 0],
  ['{"a": 1 "b": 2}', 8],
])('%j stops being JSON at %s', (source, offset) => {
  expect(jsonErrorOffset(source)).toBe(offset)
})

test.each(['[]', '{}', ' {"a": [1, -2.5e+3, "x\\u00e9\\n", true, null, {"b": {}}]} ', '"é"', '0'])(
  'the whole of %j is JSON',
  (source) => {
    expect(() => JSON.parse(source)).not.toThrow()
    expect(jsonErrorOffset(source)).toBe(source.length)
  },
)

test('a megabyte is scanned without exhausting the stack', () => {
  expect(jsonErrorOffset(`"${'a\\n'.repeat(300_000)}`)).toBe(0)
  expect(jsonErrorOffset('['.repeat(1_000_000))).toBe(1_000_000)
})
