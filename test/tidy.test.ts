// The rules of the house, held against every file that is or will be in the repository. Each rule
// is also shown a file that breaks it, so that it is known to see something.

import { execFileSync } from 'node:child_process'
import { existsSync, lstatSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { importsOf, importViolations, needlessExceptions } from './tidy/imports.ts'
import { importExceptions } from './tidy/ledger.ts'
import {
  droppedErrors,
  FILE_LINES_MAX,
  HEAD_LINES_MAX,
  headLinesOf,
  LINE_LENGTH_MAX,
  linesOf,
  longFunctions,
  longLines,
  type Rule,
  rules,
  rulesOfTexts,
  type Violation,
} from './tidy/rules.ts'
import { sourceOf } from './tidy/source.ts'

const texts = repositoryTexts()
const sources = texts
  .filter(({ path }) => path.endsWith('.ts'))
  .map(({ path, text }) => sourceOf(path, text))

describe('the repository', () => {
  test('is read', () => {
    expect(sources.length).toBeGreaterThan(100)
    expect(sources.find(({ path }) => path === 'ctld/ctld.ts')?.code).toContain('createCtld')
  })

  for (const [name, rule] of Object.entries<Rule>(rules)) {
    test(name, () => expectNone(sources.flatMap(rule)))
  }

  for (const [name, rule] of Object.entries(rulesOfTexts)) {
    test(name, () => expectNone(texts.flatMap(rule)))
  }

  test('imports go down and stay in their part', () => {
    expectNone(sources.flatMap((source) => importViolations(source, importExceptions)))
  })

  test('every exception of an import is needed', () => {
    expect(needlessExceptions(sources, importExceptions)).toEqual([])
  })

  test('no file grows into a giant', () => {
    const sizes = sources.map(({ path, text }) => ({ name: path, lines: linesOf(text) }))
    expectSmall(sizes.filter(({ lines }) => lines > FILE_LINES_MAX))
  })

  test('no function grows into a giant', () => {
    expectSmall(sources.flatMap(longFunctions))
  })

  test('no head of a file grows into a chapter', () => {
    const heads = sources.map((source) => ({ name: source.path, lines: headLinesOf(source) }))
    expectSmall(heads.filter(({ lines }) => lines > HEAD_LINES_MAX))
  })

  test('no error is dropped without a sentence', () => {
    const silent = sources.map((one) => ({ name: one.path, lines: droppedErrors(one).length }))
    expectSmall(silent.filter(({ lines }) => lines > 0))
  })

  test('no line is too wide', () => {
    const wide = sources.map((source) => ({ name: source.path, lines: longLines(source).length }))
    expectSmall(wide.filter(({ lines }) => lines > 0))
  })
})

describe('a rule sees', () => {
  const broken: [keyof typeof rules, string, string][] = [
    ['names are kebab-case and say what is inside', 'ctld/FoldNode.ts', ''],
    ['names are kebab-case and say what is inside', 'ctld/fold_node.ts', ''],
    ['names are kebab-case and say what is inside', 'ctld/Deployer/place.ts', ''],
    ['names are kebab-case and say what is inside', 'shared/index.ts', ''],
    ['names are kebab-case and say what is inside', 'shared/utils.ts', ''],
    ['names are kebab-case and say what is inside', 'ctld/helpers/a.ts', ''],
    ['names are kebab-case and say what is inside', 'ctld/common/a.ts', ''],
    ['no default exports', 'ctld/a.ts', 'export default 1'],
    ['only erasable syntax', 'ctld/a.ts', 'enum Colour { red }'],
    ['only erasable syntax', 'ctld/a.ts', 'export const enum Colour { red }'],
    ['only erasable syntax', 'ctld/a.ts', 'namespace Colours { }'],
    ['only erasable syntax', 'ctld/a.ts', 'class A { constructor(private name: string) {} }'],
    ['only erasable syntax', 'ctld/a.ts', 'class A { constructor(a: 1,\n readonly b: 2) {} }'],
    ['clock, dice and environment only at the edges', 'ctld/a.ts', 'const now = Date.now()'],
    ['clock, dice and environment only at the edges', 'shared/a.ts', 'performance.now()'],
    ['clock, dice and environment only at the edges', 'shared/a.ts', 'new Date()'],
    ['clock, dice and environment only at the edges', 'agentd/a.ts', 'Math.random()'],
    ['clock, dice and environment only at the edges', 'agentd/a.ts', 'setTimeout(f, 1)'],
    [
      'clock, dice and environment only at the edges',
      'agentd/a.ts',
      'globalThis.setInterval(f, 1)',
    ],
    ['clock, dice and environment only at the edges', 'ctld/a.ts', inTemplate('process.env.A')],
    ['no test is skipped or runs alone', 'test/a.test.ts', "test.only('a', f)"],
    ['no test is skipped or runs alone', 'test/a.test.ts', "describe.skip('a', f)"],
    ['no test is skipped or runs alone', 'test/a.test.ts', "it.concurrent.todo('a')"],
    ['a file begins with what it decides and promises', 'ctld/a.ts', 'export const a = 1\n'],
    ['a file begins with what it decides and promises', 'ctld/a.ts', '// A.\nconst a = 1\n'],
  ]

  test.each(broken)('%s: %s %j', (name, path, text) => {
    expect(rules[name](sourceOf(path, text)).map((violation) => violation.path)).toEqual([path])
  })

  test('every rule is shown a file that breaks it', () => {
    expect(new Set(broken.map(([name]) => name))).toEqual(new Set(Object.keys(rules)))
  })

  test('what is left unfinished, one machine and one registry', () => {
    const breaks = (name: keyof typeof rulesOfTexts, ...parts: string[]) =>
      rulesOfTexts[name]({ path: 'docs/a.md', text: parts.join('') }).length
    expect(breaks('nothing is left unfinished', '// TO', 'DO: later')).toBe(1)
    expect(breaks('nothing is left unfinished', '// HA', 'CK')).toBe(1)
    expect(breaks('nothing is left unfinished', 'HACKNEY')).toBe(0)
    expect(breaks('no path of one machine', 'cd /ro', 'ot/app')).toBe(1)
    expect(breaks('no path of one machine', '"file:///ho', 'me/me/app"')).toBe(1)
    expect(breaks('no path of one machine', '/svc/ro', 'ot/')).toBe(0)
    expect(breaks('no package registry', 'https://regi', 'stry.npmjs.org/a')).toBe(1)
    expect(breaks('no package registry', 'regi', 'stry=https://packages.example.com')).toBe(1)
    expect(
      breaks('no package registry', '"resol', 'ved": "https://packages.example.com/a.tgz"'),
    ).toBe(1)
  })

  const wrongImports: [string, string][] = [
    ['ctld/a.ts', "import { b } from '../b.ts'"],
    ['ctld/a.ts', "export { b } from '../b.ts'"],
    ['ctld/a.ts', "await import('../b.ts')"],
    ['ctld/a.ts', "import { b } from './b'"],
    ['ctld/a.ts', "import { b } from './b.js'"],
    ['ctld/a.ts', "import type { B } from '#agentd/b.ts'"],
    ['agentd/a.ts', "import type { B } from '#ctld/b.ts'"],
    ['shared/a.ts', "import type { B } from '#ctld/b.ts'"],
    ['shared/a.ts', "import { b } from '#agentd/b.ts'"],
    ['cli/a.ts', "import { b } from '#ctld/b.ts'"],
    ['services/html/a.ts', "import { b } from '#shared/b.ts'"],
    ['ctld/a.ts', "import { b } from '#test/b.ts'"],
    ['ctld/a.ts', "import { b } from './b.io.ts'"],
    ['ctld/a.ts', "import './b.io.ts'"],
    ['ctld/a.ts', "import { type B, b } from './b.io.ts'"],
    ['ctld/a/a.ts', "import { b } from '#ctld/b/c.ts'"],
    ['ctld/a/a.io.ts', "import { b } from '#ctld/b/c.ts'"],
    ['ctld/a.ts', "import { readFile } from 'node:fs/promises'"],
    ['agentd/a.ts', "import {\n  isIP,\n  connect,\n} from 'node:net'"],
  ]

  test.each(wrongImports)('the wrong import in %s: %s', (path, text) => {
    const source = sourceOf(path, text)
    expect(importViolations(source, new Set())).toHaveLength(1)
    const exception = `${path} → ${importsOf(source)[0]?.to}`
    expect(importViolations(source, new Set([exception]))).toEqual([])
    expect(needlessExceptions([source], new Set([exception, 'a → b']))).toEqual(['a → b'])
  })

  test.each([
    ['try { f() } catch {}', 1],
    ['\ntry { f() } catch (error) {\n}\n', 1],
    ['f().catch(() => {})', 1],
    ['f().catch(() => undefined)', 1],
    ['f().catch(() => {}) // Nobody waits for it.', 0],
    ['try { f() } catch {\n  // It is gone already.\n}', 0],
    ['try { f() } catch (error) { tell(error) }', 0],
  ])('the errors that are dropped in %j', (text, count) => {
    expect(droppedErrors(sourceOf('ctld/a.ts', text))).toHaveLength(count)
  })

  test('the functions and files that have grown', () => {
    const long = `export async function grown() {\n${'  a()\n'.repeat(80)}}\n`
    const [one] = longFunctions(sourceOf('ctld/a.ts', `${long}\nfunction b() {\n}\n`))
    expect(one).toEqual({ name: 'ctld/a.ts grown', lines: 82 })
    expect(headLinesOf(sourceOf('ctld/a.ts', '// A.\n//\n// B.\n\na()\n// C.\n'))).toBe(3)
    const wide = 'a'.repeat(LINE_LENGTH_MAX)
    const lines = [wide, `${wide}b`, `// ${wide}`, `  // ${wide.slice(4)}`, `f('${wide}')`]
    expect(longLines(sourceOf('ctld/a.ts', lines.join('\n')))).toEqual([2, 3, 4])
    expect(() => expectSmall([{ name: 'a', lines: 82 }])).toThrow('a: 82')
    expectSmall([])
  })
})

describe('a rule lets pass', () => {
  test.each([
    ['test/helpers/seeds.ts', ''],
    ['ctld/discovery/records.io.ts', '// A.\n\nconst now = Date.now()\n'],
    ['ctld/a.ts', '// Not Date.now(), not enum A {, not export default.\n\nconst a = 1\n'],
    ['ctld/a.ts', "// A.\n\nconst a = 'Math.random() in a text'\n"],
    ['ctld/a.ts', '// A.\n\nconst a = /\\/\\*`/.test(b)\nconst c = new Date(now)\n'],
    ['ctld/a.ts', '// A.\n\nclock.setTimeout(1)\n'],
  ])('%s %j', (path, text) => {
    expect(Object.values<Rule>(rules).flatMap((rule) => rule(sourceOf(path, text)))).toEqual([])
  })

  test.each([
    ['ctld/a/a.ts', "import { b } from '#ctld/b/b.ts'\nimport type { C } from '#ctld/b/c.ts'"],
    ['ctld/a/a.ts', "import { type C } from '#ctld/b/c.ts'\nimport type { D } from './d.io.ts'"],
    ['ctld/main.ts', "import { a } from './a.io.ts'\nimport { c } from './b/c.ts'"],
    ['cli/a.ts', "import { b } from '#shared/b.io.ts'\nimport { readFile } from 'node:fs'"].slice(
      0,
      2,
    ),
    ['ctld/a.ts', "import { BlockList, isIP } from 'node:net'\nimport { z } from 'zod'"],
    ['test/a.test.ts', "import { a } from '#ctld/a/c.io.ts'\nimport { b } from '#agentd/b.ts'"],
  ])('the imports in %s: %s', (path, text) => {
    expect(importViolations(sourceOf(path, text), new Set())).toEqual([])
  })
})

function inTemplate(code: string): string {
  return `a(\`of $\{ b } and $\{${code}}\`)`
}

/** What git tracks and what it would: neither ignored nor deleted, and no link or binary file. */
function repositoryTexts(): { path: string; text: string }[] {
  const list = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '-z'])
  return [...new Set(list.toString().split('\0'))]
    .filter((path) => path !== '' && existsSync(path) && lstatSync(path).isFile())
    .sort()
    .map((path) => ({ path, text: readFileSync(path, 'utf8') }))
    .filter(({ text }) => !text.includes('\0'))
}

function expectNone(violations: readonly Violation[]): void {
  const words = violations.map(({ path, line, what }) => `${path}:${line} ${what}`)
  expect(words, words.join('\n')).toEqual([])
}

/** `grown`: what is above its limit. */
function expectSmall(grown: readonly { name: string; lines: number }[]): void {
  const words = grown.map(({ name, lines }) => `${name}: ${lines}`)
  expect(words, words.join('\n')).toEqual([])
}
