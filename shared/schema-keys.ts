// What a schema says about itself: its keys, their descriptions and defaults. Error messages,
// the help, docs/configuration.md and the tests all read it from here.

import { z } from 'zod'
import type { Path } from './document.ts'

export type KeyDescription = {
  /** `topology[].restart.command`, `env.*`. */
  key: string
  description: string
  expected: string
  required: boolean
  default?: unknown
  schema: z.ZodType
}

/** What messages and documents say of a key. */
export type KeyMeta = {
  description?: string
  expected?: string
  /** The default in words, where it is not a constant. */
  fallback?: string
  /** Its value is never shown. */
  secret?: boolean
}

type Definition = {
  type: string
  innerType?: z.ZodType
  in?: z.ZodType
  defaultValue?: unknown
  entries?: Record<string, string>
}

const definitionOf = (schema: z.ZodType) => schema._zod.def as unknown as Definition

/** Every key of the schema, parents before children, in the order of the schema. */
export function keysOf(schema: z.ZodType, prefix = ''): KeyDescription[] {
  const inner = unwrap(schema)
  if (inner instanceof z.ZodArray) return keysOf(inner.element as z.ZodType, `${prefix}[]`)
  if (inner instanceof z.ZodRecord) return keysOf(inner.valueType as z.ZodType, `${prefix}.*`)
  return Object.entries(shapeOf(inner)).flatMap(([name, child]) => {
    const key = prefix === '' ? name : `${prefix}.${name}`
    return [describe(key, child, schema), ...keysOf(child, key)]
  })
}

/** The schema without what only says that it may be absent. */
export function unwrap(schema: z.ZodType): z.ZodType {
  const { innerType, in: input } = definitionOf(schema)
  const inner = innerType ?? input
  return inner === undefined ? schema : unwrap(inner)
}

/** Keys of an object, or of all the objects of a union. */
export function shapeOf(schema: z.ZodType): Record<string, z.ZodType> {
  const inner = unwrap(schema)
  if (inner instanceof z.ZodObject) return inner.shape as Record<string, z.ZodType>
  if (!(inner instanceof z.ZodUnion)) return {}
  return Object.assign({}, ...inner.options.map((option) => shapeOf(option as z.ZodType)))
}

/** An object that is there even when nobody wrote it, because its keys have defaults. */
export const isGroup = (schema: z.ZodType): boolean =>
  definitionOf(schema).type === 'prefault' && Object.keys(shapeOf(schema)).length > 0

/** The schema that judges the value at `path`, as far as the schema knows the path. */
export function schemaAt(schema: z.ZodType, path: Path): z.ZodType | undefined {
  const [step, ...rest] = path
  if (step === undefined) return schema
  const inner = unwrap(schema)
  const child =
    inner instanceof z.ZodArray
      ? inner.element
      : inner instanceof z.ZodRecord
        ? inner.valueType
        : shapeOf(inner)[step]
  return child === undefined ? undefined : schemaAt(child as z.ZodType, rest)
}

/** Meta of the schema, the outermost wrapper first. */
export function metaOf(schema: z.ZodType): KeyMeta {
  const { innerType, in: input } = definitionOf(schema)
  const inner = innerType ?? input
  return { ...(inner === undefined ? {} : metaOf(inner)), ...(schema.meta() as KeyMeta) }
}

/** The rule in words: `a port, 1..65535`. A schema without such words is described by its type. */
export function expectedOf(schema: z.ZodType): string {
  const { expected } = metaOf(schema)
  if (expected !== undefined) return expected
  const inner = unwrap(schema)
  if (inner instanceof z.ZodBoolean) return 'true or false'
  if (inner instanceof z.ZodEnum) return `one of ${inner.options.join(', ')}`
  if (inner instanceof z.ZodLiteral) return [...inner.values].join(' or ')
  if (inner instanceof z.ZodNumber) return expectedNumber(inner)
  if (inner instanceof z.ZodString) return expectedText(inner)
  if (inner instanceof z.ZodArray) {
    return `a list; each item ${expectedOf(inner.element as z.ZodType)}`
  }
  const names = Object.keys(shapeOf(inner))
  if (names.length > 0) return `a mapping with the keys ${names.join(', ')}`
  if (inner instanceof z.ZodUnion) {
    return inner.options.map((option) => expectedOf(option as z.ZodType)).join(' or ')
  }
  return inner instanceof z.ZodUnknown ? 'a value' : 'a mapping'
}

function expectedNumber({ format, minValue, maxValue }: z.ZodNumber): string {
  const kind = format?.includes('int') ? 'a whole number' : 'a number'
  return `${kind}${rangeText(minValue, maxValue)}`
}

function expectedText({ minLength, maxLength, def }: z.ZodString): string {
  const patterns = (def.checks ?? []).flatMap((check) => {
    const { pattern } = check._zod.def as { pattern?: RegExp }
    return pattern === undefined ? [] : [` that matches ${pattern}`]
  })
  const size = rangeText(minLength, maxLength)
  return `text${size === '' ? '' : `${size} characters`}${patterns.join('')}`
}

function rangeText(min: number | null, max: number | null): string {
  const low = min === null || min <= Number.MIN_SAFE_INTEGER ? '' : min
  const high = max === null || max >= Number.MAX_SAFE_INTEGER ? '' : max
  return low === '' && high === '' ? '' : `, ${low}..${high}`
}

function describe(key: string, schema: z.ZodType, parent: z.ZodType): KeyDescription {
  const fallback = defaultOf(schema)
  return {
    key,
    description: metaOf(schema).description ?? '',
    expected: expectedOf(schema),
    required: !mayBeAbsent(schema) && !(unwrap(parent) instanceof z.ZodUnion),
    ...(fallback === undefined ? {} : { default: fallback }),
    schema,
  }
}

function mayBeAbsent(schema: z.ZodType): boolean {
  return ['optional', 'default', 'prefault'].includes(definitionOf(schema).type)
}

function defaultOf(schema: z.ZodType): unknown {
  const { type, defaultValue, innerType } = definitionOf(schema)
  if (type === 'default') return defaultValue
  // An object's own keys have their defaults; an empty list or record is one.
  if (type === 'prefault') return isGroup(schema) ? undefined : defaultValue
  return innerType === undefined ? undefined : defaultOf(innerType)
}
