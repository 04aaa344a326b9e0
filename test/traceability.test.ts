// Every item of the specification that has a behaviour is named in the title of a test.

import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { quotedAt, type Source, sourceOf } from './tidy/source.ts'
import { behaviours, withoutBehaviour } from './traceability/ids.ts'

const ID = /\b([MQTSF])(\d\d)(?:\s?[–-]\s?\1?(\d\d))?\b/g
const TEST = /(?<![\w.])(?:test|it|describe)\b/g

test('every item stands in the table once', () => {
  const all = [
    ...numbered('M', 55),
    ...numbered('Q', 24),
    ...numbered('T', 8),
    ...numbered('S', 32),
    ...Object.keys(behaviours).filter((id) => id.startsWith('F')),
  ]
  expect([...Object.keys(behaviours), ...Object.keys(withoutBehaviour)].sort()).toEqual(all.sort())
})

test('every behaviour is named by a test', () => {
  const named = new Set(testSources().flatMap((source) => titlesOf(source).flatMap(idsIn)))
  const unnamed = Object.keys(behaviours).filter((id) => !named.has(id))
  const words = unnamed.map((id) => `${id}: ${behaviours[id]}`).join('\n')
  expect(unnamed, `no test names\n${words}`).toEqual([])
})

test('a title is found wherever it stands', () => {
  const source = sourceOf(
    'test/a.test.ts',
    [
      "test('M01: one', () => {",
      "  // test('M99: in a comment', f)",
      '  const text = "test(\'M98: in a text\')"',
      '})',
      'test.each([[1, 2], f(3)])("M02: %s", f)',
      'describe.for(',
      '  list,',
      ')(`Q01, T02: title`, f)',
      'test.concurrent(',
      "  'it\\'s S20–S22 and F01-F03',",
      'pattern.test("M97")',
    ].join('\n'),
  )
  expect(titlesOf(source).flatMap(idsIn)).toEqual([
    'M01',
    'M02',
    'Q01',
    'T02',
    'S20',
    'S21',
    'S22',
    'F01',
    'F02',
    'F03',
  ])
})

function testSources(): Source[] {
  const list = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '-z', 'test'])
  return [...new Set(list.toString().split('\0'))]
    .filter((path) => path.endsWith('.test.ts') && existsSync(path))
    .map((path) => sourceOf(path, readFileSync(path, 'utf8')))
}

/** The first argument of each `test`, `it` and `describe`, after `.each(…)` and the like. */
function titlesOf(source: Source): string[] {
  const { code } = source
  return [...code.matchAll(TEST)].flatMap((match) => {
    let at = match.index + match[0].length
    for (;;) {
      const modifier = /^\s*\.\s*\w+/.exec(code.slice(at))
      if (modifier !== null) at += modifier[0].length
      else if (code.charAt(at) === '(' && /^\s*\(/.test(code.slice(closing(code, at)))) {
        at = closing(code, at)
        at += /^\s*/.exec(code.slice(at))?.[0].length ?? 0
      } else break
    }
    const open = /^\(\s*(?=['"`])/.exec(code.slice(at))
    return open === null ? [] : [quotedAt(source, at + open[0].length)]
  })
}

/** Where the bracket that opens at `at` has closed. */
function closing(code: string, at: number): number {
  let depth = 0
  for (let index = at; index < code.length; index += 1) {
    if (code[index] === '(') depth += 1
    if (code[index] === ')') depth -= 1
    if (depth === 0) return index + 1
  }
  return code.length
}

function idsIn(title: string): string[] {
  return [...title.matchAll(ID)].flatMap(([, letter = '', first = '', last = first]) =>
    numbered(letter, Number(last)).slice(Number(first) - 1),
  )
}

/** M01, M02 … up to `count`. */
function numbered(letter: string, count: number): string[] {
  return Array.from(
    { length: count },
    (_, index) => `${letter}${String(index + 1).padStart(2, '0')}`,
  )
}
