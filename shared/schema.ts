// Checks a document against a schema and says everything that is wrong with it at once: where,
// what was expected and what is there. The value of a key that is marked secret is never shown.

import { z } from 'zod'
import {
  invalid,
  keyText,
  type Path,
  positionOf,
  quote,
  type SourceDocument,
  whereIs,
} from './document.ts'
import type { Problem } from './errors.ts'
import { expectedOf, metaOf, schemaAt, shapeOf, unwrap } from './schema-keys.ts'
import { suggest } from './suggest.ts'

/** A fault of the document as data; `whereIs` turns its path into a place in the file. */
export type Fault = { path: Path; what: string }

export type Rules = {
  /** What the schema cannot say of one key alone. Gets unchecked data: every fault shows. */
  across?: (data: unknown) => Fault[]
  /** Messages for keys that are refused on purpose, by `image.git`. */
  refusedKeys?: Record<string, string>
}

const UNKNOWN_KEYS_MAX = 20

/** The checked value, with defaults; throws `invalid_config` that lists every problem. */
export function checkDocument<T>(
  schema: z.ZodType<T>,
  document: SourceDocument,
  rules: Rules = {},
): T {
  const result = schema.safeParse(document.data)
  const faults = [
    ...(result.error?.issues ?? []).flatMap((issue) => faultsOf(issue, schema, document, rules)),
    ...(rules.across?.(document.data) ?? []),
  ]
  if (result.success && faults.length === 0) return result.data
  throw invalid(problemsOf(faults, document))
}

/** Problems in the order of the file, one for each place and sentence. */
export function problemsOf(faults: readonly Fault[], document: SourceDocument): Problem[] {
  const located = faults.map((fault) => ({ ...fault, at: positionOf(document, fault.path) }))
  located.sort((a, b) => a.at.line - b.at.line || a.at.column - b.at.column)
  const problems = located.map(({ path, what }) => ({ where: whereIs(document, path), what }))
  const seen = new Set<string>()
  return problems.filter(({ where, what }) => {
    const text = `${where} ${what}`
    return seen.has(text) ? false : seen.add(text)
  })
}

function faultsOf(
  issue: z.core.$ZodIssue,
  schema: z.ZodType,
  document: SourceDocument,
  rules: Rules,
): Fault[] {
  const path = issue.path.map((key) => (typeof key === 'symbol' ? String(key) : key))
  if (issue.code === 'unrecognized_keys') {
    const known = Object.keys(shapeOf(schemaAt(schema, path) ?? schema))
    const shown = issue.keys.slice(0, UNKNOWN_KEYS_MAX)
    return [
      ...shown.map((key) => ({ path: [...path, key], what: unknownKey(path, key, known, rules) })),
      ...tooMany(path, issue.keys.length),
    ]
  }
  const inner = issue.code === 'invalid_union' ? meantIssues(issue, schema, document) : undefined
  if (inner !== undefined) {
    return inner.flatMap((one) =>
      faultsOf({ ...one, path: [...path, ...one.path] }, schema, document, rules),
    )
  }
  if (issue.code === 'invalid_key') return [{ path, what: badKey(schema, path) }]
  return [{ path, what: mismatch(schemaAt(schema, path) ?? schema, valueAt(document.data, path)) }]
}

/** Of `keep or {stop_after: …}` whoever wrote a mapping meant the latter: what is wrong in that. */
function meantIssues(
  issue: z.core.$ZodIssueInvalidUnion,
  schema: z.ZodType,
  document: SourceDocument,
): z.core.$ZodIssue[] | undefined {
  const path = issue.path as Path
  if (!kindOf(valueAt(document.data, path)).startsWith('a mapping')) return undefined
  const union = unwrap(schemaAt(schema, path) ?? schema)
  if (!(union instanceof z.ZodUnion)) return undefined
  const mappings = union.options.flatMap((option, index) =>
    Object.keys(shapeOf(option as z.ZodType)).length > 0 ? [index] : [],
  )
  const [only] = mappings
  return mappings.length === 1 && only !== undefined ? issue.errors[only] : undefined
}

function unknownKey(path: Path, key: string, known: readonly string[], rules: Rules): string {
  const refused = rules.refusedKeys?.[keyText([...path, key])]
  if (refused !== undefined) return refused
  const meant = suggest(key, known)
  const hint = meant === undefined ? `known: ${known.join(', ')}` : `did you mean \`${meant}\`?`
  return `unknown key ${quote(key)}; ${hint}`
}

function tooMany(path: Path, count: number): Fault[] {
  if (count <= UNKNOWN_KEYS_MAX) return []
  return [{ path, what: `${count - UNKNOWN_KEYS_MAX} more unknown keys` }]
}

function badKey(schema: z.ZodType, path: Path): string {
  const record = unwrap(schemaAt(schema, path.slice(0, -1)) ?? schema)
  const keyType = (record._zod.def as unknown as { keyType?: z.ZodType }).keyType
  const expected = keyType === undefined ? 'another key' : expectedOf(keyType)
  return `expected ${expected}, got ${quote(String(path.at(-1)))}`
}

function mismatch(schema: z.ZodType, value: unknown): string {
  const expected = expectedOf(schema)
  if (value === undefined) return `missing; expected ${expected}`
  if (metaOf(schema).secret === true) return `expected ${expected}, got ${kindOf(value)}`
  const options = (unwrap(schema)._zod.def as unknown as { entries?: Record<string, string> })
    .entries
  const meant =
    typeof value === 'string' && options !== undefined
      ? suggest(value, Object.values(options))
      : undefined
  const hint = meant === undefined ? '' : `; did you mean \`${meant}\`?`
  return `expected ${expected}, got ${show(value)}${hint}`
}

function show(value: unknown): string {
  if (typeof value === 'string') return quote(value)
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  return kindOf(value)
}

function kindOf(value: unknown): string {
  if (value === null) return 'nothing'
  if (Array.isArray(value)) return `a list of ${value.length}`
  if (typeof value === 'object') return `a mapping of ${Object.keys(value).length}`
  return `a ${typeof value}`
}

function valueAt(data: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (value, key) =>
      typeof value === 'object' && value !== null && Object.hasOwn(value, key)
        ? (value as Record<string | number, unknown>)[key]
        : undefined,
    data,
  )
}
