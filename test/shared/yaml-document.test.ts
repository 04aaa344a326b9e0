import { describe, expect, test } from 'vitest'
import { DOCUMENT_BYTES_MAX } from '#shared/document.ts'
import { TucanoError } from '#shared/errors.ts'
import { readYaml } from '#shared/yaml-document.ts'
import { complaints, configurations, exampleText } from '#test/helpers/configurations.ts'
import { randomOf } from '#test/helpers/seeds.ts'

const refusal = (text: string) => complaints(() => readYaml(text, 'a.yaml'))

test('knows where each part was written', () => {
  const { data, positions } = readYaml('a: 1\nb:\n  - c/d: x\n  - [y, z]\n', 'a.yaml')
  expect(data).toEqual({ a: 1, b: [{ 'c/d': 'x' }, ['y', 'z']] })
  expect(Object.fromEntries(positions)).toEqual({
    '': { line: 1, column: 1 },
    '/a': { line: 1, column: 1 },
    '/b': { line: 2, column: 1 },
    '/b/0': { line: 3, column: 5 },
    '/b/0/c~1d': { line: 3, column: 5 },
    '/b/1': { line: 4, column: 5 },
    '/b/1/0': { line: 4, column: 6 },
    '/b/1/1': { line: 4, column: 9 },
  })
})

test('`no`, times and dates stay text; there is no YAML 1.1', () => {
  expect(readYaml('[no, 12:30:00, 2001-01-01, 1.10]', 'a').data).toEqual([
    'no',
    '12:30:00',
    '2001-01-01',
    1.1,
  ])
  expect(refusal('%YAML 1.1\n---\na: no\n')).toContain('only YAML 1.2 is read')
})

test('reads CRLF line ends and a byte order mark', () => {
  expect(readYaml('\uFEFFa: 1\r\nb: 2\r\n', 'a').data).toEqual({ a: 1, b: 2 })
})

describe('refuses', () => {
  test.each([
    ['an alias', 'a: &x [1]\nb: *x\n', 'a.yaml:2:1 b: aliases (*name) are refused'],
    ['a duplicate key', 'a: 1\nb: 2\na: 3\n', 'a.yaml:3:1 a: the key "a" is given twice'],
    ['__proto__', 'a:\n  __proto__: 1\n', 'a.yaml:2:3 a.__proto__: the key "__proto__" is refused'],
    ['constructor', 'constructor: {prototype: 1}\n', 'the key "constructor" is refused'],
    ['prototype', 'prototype: 1\n', 'the key "prototype" is refused'],
    ['an unknown tag', 'a: !!js/function x\n', 'a.yaml:1:4: not valid YAML: Unresolved tag'],
    ['!!binary', 'a: !!binary aGVsbG8=\n', 'a.yaml:1:4: not valid YAML: Unresolved tag'],
    [
      'a second document',
      'a: 1\n---\nb: 2\n',
      'not valid YAML: Source contains multiple documents',
    ],
    ['a list as key', '? [a, b]\n: 1\n', 'a.yaml:1:3: not valid YAML: With stringKeys'],
    ['a tab as indent', 'a:\n\tb: 1\n', 'a.yaml:2:1: not valid YAML: Tabs are not allowed'],
    ['an open bracket', 'a: [1, 2\n', 'a.yaml:2:1: not valid YAML'],
    ['a merge of an alias', 'a: {<<: *b}\n', 'a.yaml:1:5 a["<<"]: aliases (*name) are refused'],
  ])('%s', (_, text, why) => {
    expect(refusal(text)).toContain(why)
  })

  test('nesting over 32 levels', () => {
    const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`
    expect(() => readYaml(nested(32), 'a')).not.toThrow()
    expect(refusal(nested(33))).toMatch(/^a.yaml:1:33 .*: nested deeper than 32 levels$/)
    expect(refusal('['.repeat(60_000))).toContain('nested deeper than 32 levels')
    expect(refusal('{a: '.repeat(16_000))).toContain('nested deeper than 32 levels')
    expect(refusal('- '.repeat(30_000))).toContain('nested deeper than 32 levels')
  })

  test('more than 64 KiB', () => {
    const text = `# ${'é'.repeat(DOCUMENT_BYTES_MAX / 2)}`
    expect(refusal(text)).toBe('a.yaml: 65538 bytes; a configuration has at most 65536')
    expect(refusal('a'.repeat(10 * 1024 * 1024))).toContain('10485760 bytes')
  })
})

test('names every problem at once, at most two hundred', () => {
  expect(refusal('a: 1\na: 2\n__proto__: 1\nb: &x 1\nc: *x\n').split('\n')).toHaveLength(3)
  expect(refusal('a: 1\n'.repeat(1_000)).split('\n')).toHaveLength(200)
})

test('nine thousand keys take linear time', () => {
  const text = Array.from({ length: 9_000 }, (_, n) => `k${n}:`).join('\n')
  expect(Object.keys(readYaml(text, 'a').data as object)).toHaveLength(9_000)
})

describe.each(configurations)('$title', ({ file, parse }) => {
  test.each(Array.from({ length: 150 }, (_, seed) => seed))(
    'damaged by seed %s it is read or refused, nothing else',
    (seed) => {
      const text = damage(exampleText(file), seed)
      try {
        parse(text, file)
      } catch (error) {
        if (!(error instanceof TucanoError))
          throw new Error(`seed ${seed}:\n${text}`, { cause: error })
      }
    },
  )
})

/** Replaces, doubles and removes a few pieces at random. */
function damage(text: string, seed: number): string {
  const { random, pick } = randomOf(seed + 1)
  const below = (limit: number) => Math.floor(random() * limit)
  const pieces = [
    '',
    '\n',
    '\t',
    '  ',
    '*a',
    '&a ',
    '!!x ',
    ': ',
    '- ',
    '[',
    '}',
    '"',
    "'",
    '\0',
    '|',
  ]
  let damaged = text
  for (let count = 1 + below(6); count > 0; count--) {
    const at = below(damaged.length)
    const until = at + below(12)
    const piece = random() < 0.2 ? text.slice(at, at + below(400)) : pick(pieces)
    damaged = damaged.slice(0, at) + piece + damaged.slice(until)
  }
  return damaged
}
