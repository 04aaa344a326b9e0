// The rules of the house that look at one file at a time, each a pure function from a source to
// what it finds wrong in it.

import { lineOf, type Source } from './source.ts'

export type Violation = { path: string; line: number; what: string }
export type Rule = (source: Source) => Violation[]

export const FILE_LINES_MAX = 300
export const FUNCTION_LINES_MAX = 70
export const LINE_LENGTH_MAX = 100
export const HEAD_LINES_MAX = 4

const NAME = /^[a-z0-9]+(-[a-z0-9]+)*$/
const FILE_NAME = /^[a-z0-9]+(-[a-z0-9]+)*(\.io)?(\.test|\.config)?\.ts$/
const NAMES_OF_NOTHING = new Set(['index', 'utils', 'util', 'helpers', 'helper', 'common'])
/** The parts that have an outside and an inside. */
const PARTS = /^(ctld|agentd|shared|cli)\//
const CLOCK_DICE_ENVIRONMENT = new RegExp(
  [
    'Date\\.now',
    'performance\\.now',
    'Math\\.random',
    'setTimeout',
    'setInterval',
    'setImmediate',
    'process\\.env',
    // With an argument it only reads an instant that was given to it.
    'new Date\\(\\s*\\)',
  ]
    .map((name) => `(?<![\\w.])(?:globalThis\\.)?${name}`)
    .join('|'),
  'g',
)
const CLASS_FIELD_IN_CONSTRUCTOR =
  /\bconstructor\s*\((?:[^)]*,)?\s*(public|private|protected|readonly|override)\s+\w+/g
const EMPTY_CATCH = /\bcatch\s*(\([^)]*\))?\s*\{\s*\}|\.catch\(\(\w*\) => (\{\s*\}|undefined)\)/g
const SKIPPED_TEST = /\b(test|it|describe|suite|bench)(\.\w+)*\.(only|skip|todo|fails)\b/g
/** Put together here, so that this file does not break its own rule. */
const UNFINISHED = new RegExp(
  `\\b(${['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX', 'HA' + 'CK'].join('|')})\\b`,
  'g',
)
const MACHINE_PATH = new RegExp(
  `(?<![\\w>.}-])/(${['work', 'farm', 'root', 'home'].join('|')})/`,
  'g',
)
const REGISTRY = new RegExp(
  [
    'regi' + 'stry\\.(npmjs|yarnpkg|npmmirror)',
    'npm\\.pkg\\.' + 'github',
    `${'jf' + 'rog'}|${'arti' + 'factory'}|${'verd' + 'accio'}`,
    '^\\s*@?[\\w:-]*regi' + 'stry\\s*=',
    ':_' + 'auth',
    '"resol' + 'ved":',
  ].join('|'),
  'gim',
)

export const rules = {
  'names are kebab-case and say what is inside': ({ path }) => {
    const folders = path.split('/').slice(0, -1)
    const file = path.split('/').at(-1) ?? ''
    const isBad = !FILE_NAME.test(file) || folders.some((folder) => !NAME.test(folder))
    const isNothing = [...folders, file.split('.')[0] ?? ''].some(
      (name) => NAMES_OF_NOTHING.has(name) && !(name === 'helpers' && folders[0] === 'test'),
    )
    return [
      ...(isBad ? [{ path, line: 1, what: 'name is not kebab-case' }] : []),
      ...(isNothing
        ? [{ path, line: 1, what: 'name says nothing (index, utils, helpers …)' }]
        : []),
    ]
  },

  'no default exports': (source) =>
    source.path === 'vitest.config.ts' ? [] : found(source, /\bexport\s+default\b/g),

  'only erasable syntax': (source) => [
    ...found(source, /\benum\s+\w+\s*\{/g),
    ...found(source, /\b(namespace|module)\s+[\w.]+\s*\{/g),
    ...found(source, CLASS_FIELD_IN_CONSTRUCTOR),
    ...found(source, /\bimport\s+\w+\s*=\s*require\b|\bexport\s*=/g),
  ],

  'clock, dice and environment only at the edges': (source) => {
    const { path } = source
    const isEdge = path.endsWith('.io.ts') || path.endsWith('/main.ts')
    return isEdge || !/^(ctld|agentd|shared)\//.test(path)
      ? []
      : found(source, CLOCK_DICE_ENVIRONMENT)
  },

  'no test is skipped or runs alone': (source) =>
    source.path.endsWith('.test.ts') ? found(source, SKIPPED_TEST) : [],

  'a file begins with what it decides and promises': ({ path, text }) => {
    if (!PARTS.test(path) || /^(#!.*\n)?\/\/ .*\n(\/\/.*\n)*\n/.test(text)) return []
    return [{ path, line: 1, what: 'no comment at its head, with a blank line after' }]
  },
} satisfies Record<string, Rule>

/** Those that hold for every text in the repository. */
export const rulesOfTexts = {
  'nothing is left unfinished': ({ path, text }) => foundIn(path, text, UNFINISHED),
  'no path of one machine': ({ path, text }) => foundIn(path, text, MACHINE_PATH),
  'no package registry': ({ path, text }) => foundIn(path, text, REGISTRY),
} satisfies Record<string, (file: { path: string; text: string }) => Violation[]>

/** Lines above LINE_LENGTH_MAX. A text in quotes may stand out: in two it is not found again. */
export function longLines({ code, comments }: Source): number[] {
  const notes = comments.split('\n')
  return code.split('\n').flatMap((line, index) => {
    const note = notes[index] ?? ''
    const bare = line.trimEnd().replaceAll(/(?<=\S) {2,}/g, ' ')
    const length = bare === '' ? note.trimEnd().length : `${bare} ${note.trim()}`.trimEnd().length
    return length > LINE_LENGTH_MAX ? [index + 1] : []
  })
}

/** Errors that are dropped without a sentence that says why. */
export function droppedErrors(source: Source): Violation[] {
  return found(source, EMPTY_CATCH).filter(({ line }) => !isExplained(source, line))
}

/** Lines of the comment at the head of a file. */
export function headLinesOf({ path, text }: Source): number {
  return PARTS.test(path) ? text.split('\n').findIndex((line) => !/^(\/\/|#!)/.test(line)) : 0
}

export function linesOf(text: string): number {
  return text.split('\n').length - (text.endsWith('\n') ? 1 : 0)
}

/**
 * Functions above FUNCTION_LINES_MAX, found by the indentation that the formatter gives them. What
 * `createX` returns is a noun with its verbs inside, and so is what a test builds its world with:
 * the size of the file bounds it.
 */
export function longFunctions({ path, text }: Source): { name: string; lines: number }[] {
  if (path.startsWith('test/')) return []
  const lines = text.split('\n')
  return lines.flatMap((line, index) => {
    const match = /^(\s*)(?:export )?(?:async )?function\*? (\w+)/.exec(line)
    const [, indent = '', name = 'create'] = match ?? []
    if (name.startsWith('create')) return []
    const count = lines.slice(index).indexOf(`${indent}}`) + 1
    return count > FUNCTION_LINES_MAX ? [{ name: `${path} ${name}`, lines: count }] : []
  })
}

function found({ path, code }: Source, pattern: RegExp): Violation[] {
  return foundIn(path, code, pattern)
}

function foundIn(path: string, text: string, pattern: RegExp): Violation[] {
  return [...text.matchAll(pattern)].map((match) => ({
    path,
    line: lineOf(text, match.index),
    what: match[0].trim().replaceAll(/\s+/g, ' '),
  }))
}

/** A comment in the line, in the one above it, or between its braces. */
function isExplained({ comments }: Source, line: number): boolean {
  const lines = comments.split('\n')
  return [line - 2, line - 1, line].some((index) => /\w{3}/.test(lines[index] ?? ''))
}
