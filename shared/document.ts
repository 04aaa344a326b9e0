// A configuration as plain data, together with where each of its parts was written. Whatever
// comes from outside (YAML, JSON) passes here first: what leaves is only objects, arrays and
// scalars, no deeper than DEPTH_MAX and without the keys that reach into JavaScript's objects.

import { type Problem, TucanoError } from './errors.ts'
import { jsonErrorOffset } from './json-syntax.ts'

export const DOCUMENT_BYTES_MAX = 64 * 1024
export const DEPTH_MAX = 32
export const PROBLEMS_MAX = 200

export type Path = readonly (string | number)[]
export type Position = { line: number; column: number }

/** `positions` is keyed by JSON pointer (RFC 6901); a document without a file has none. */
export type SourceDocument = {
  /** Name of the file for messages; absent: problems are located by JSON pointer. */
  file?: string
  data: unknown
  positions: ReadonlyMap<string, Position>
}

const dangerousKeys = new Set(['__proto__', 'constructor', 'prototype'])

export const isDangerousKey = (key: string): boolean => dangerousKeys.has(key)

/** Data of an API body that is already parsed. Throws `invalid_config` with JSON pointers. */
export function jsonDocument(data: unknown): SourceDocument {
  const problems: Problem[] = []
  inspect(data, [], problems)
  if (problems.length > 0) throw invalid(problems)
  return { data, positions: new Map() }
}

/** JSON text as a document; a syntax error names its line and column. */
export function readJson(text: string): SourceDocument {
  let data: unknown
  try {
    data = JSON.parse(text)
  } catch (cause) {
    throw invalid([{ where: syntaxPlace(text), what: 'not valid JSON' }], cause)
  }
  return jsonDocument(data)
}

/** `/topology/2/ip`; the whole document is the empty string. */
export function pointer(path: Path): string {
  return path.map((key) => `/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
}

/** `topology.yaml:12:5 topology[2].ip`, or `/topology/2/ip` where there is no file. */
export function whereIs(document: SourceDocument, path: Path): string {
  if (document.file === undefined) return pointer(path) || '/'
  const { line, column } = positionOf(document, path)
  return `${document.file}:${line}:${column} ${keyText(path)}`.trimEnd()
}

/** Position of the nearest part that was really written: a missing key is at its parent. */
export function positionOf(document: SourceDocument, path: Path): Position {
  for (let length = path.length; length >= 0; length--) {
    const position = document.positions.get(pointer(path.slice(0, length)))
    if (position !== undefined) return position
  }
  return { line: 1, column: 1 }
}

/** `topology[2].ip`. */
export function keyText(path: Path): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`
    if (!/^[\w-]{1,64}$/.test(key)) return `${text}[${quote(key)}]`
    return text === '' ? key : `${text}.${key}`
  }, '')
}

/** The text in quotes, shortened, with control characters escaped. */
export function quote(text: string, max = 60): string {
  return JSON.stringify(text.length > max ? `${text.slice(0, max)}…` : text).replace(
    /[\p{Cc}\u2028\u2029]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** The error for a document with these problems: its message names the first of them. */
export function invalid(problems: readonly Problem[], cause?: unknown): TucanoError {
  const [first] = problems
  const others = problems.length > 1 ? `; and ${problems.length - 1} more` : ''
  const message = `invalid configuration: ${first?.where}: ${first?.what}${others}`
  const kept = problems.slice(0, PROBLEMS_MAX)
  return new TucanoError('invalid_config', message, { problems: kept, cause })
}

function inspect(value: unknown, path: Path, problems: Problem[]): void {
  if (typeof value !== 'object' || value === null || problems.length > PROBLEMS_MAX) return
  if (path.length >= DEPTH_MAX) {
    problems.push({ where: pointer(path), what: `nested deeper than ${DEPTH_MAX} levels` })
    return
  }
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) inspect(item, [...path, index], problems)
    return
  }
  for (const [key, item] of Object.entries(value)) {
    if (isDangerousKey(key)) {
      problems.push({ where: pointer([...path, key]), what: `the key ${quote(key)} is refused` })
    } else {
      inspect(item, [...path, key], problems)
    }
  }
}

function syntaxPlace(text: string): string {
  const before = text.slice(0, jsonErrorOffset(text)).split('\n')
  return `line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1}`
}
