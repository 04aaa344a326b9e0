import { expect, test } from 'vitest'
import { jsonDocument, keyText, pointer, quote, readJson } from '#shared/document.ts'
import { complaints } from '#test/helpers/configurations.ts'

test('a syntax error in JSON names its line and column', () => {
  expect(complaints(() => readJson('{"a": 1,\n "b": x}'))).toBe('line 2, column 7: not valid JSON')
  expect(complaints(() => readJson('{"a": 1,'))).toBe('line 1, column 9: not valid JSON')
  expect(readJson('{"a": [1]}').data).toEqual({ a: [1] })
})

test('dangerous keys in JSON are refused wherever they stand', () => {
  const said = complaints(() => readJson('{"a":[{"__proto__":{}}],"constructor":{"prototype":1}}'))
  expect(said).toBe(
    '/a/0/__proto__: the key "__proto__" is refused\n' +
      '/constructor: the key "constructor" is refused',
  )
})

test('nesting as deep as a body allows is refused without exhausting the stack', () => {
  let nested: unknown = []
  for (let depth = 0; depth < 100_000; depth++) nested = [nested]
  expect(complaints(() => jsonDocument(nested))).toContain('nested deeper than 32 levels')
})

test('paths read as people write them, and as JSON pointers', () => {
  const path = ['topology', 2, 'labels', 'a.b/c~d']
  expect(keyText(path)).toBe('topology[2].labels["a.b/c~d"]')
  expect(pointer(path)).toBe('/topology/2/labels/a.b~1c~0d')
})

test('quoted text is short and has no control character', () => {
  expect(quote('a\r\n\u0085\u2028b')).toBe('"a\\r\\n\\u0085\\u2028b"')
  expect(quote('a'.repeat(100))).toBe(`"${'a'.repeat(60)}…"`)
})
