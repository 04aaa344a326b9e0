// Decides where the fields of a head or of a trailer section are, and that each is well-formed
// (RFC 9112 section 5). Nothing is allocated for a field: offsets and kinds lie in arrays that are
// used again. A line that RFC 9112 does not allow is refused as soon as its octet is seen.

import { FIELD, type FieldKind, kindOf } from './field-kinds.ts'
import { FIELDS_MAX } from './limits.ts'
import { endOf, endOfBlanks, endOfValue, isBlank, TOKEN } from './octets.ts'

// Constants of this file, not of another one: see octets.ts.
const COLON = 0x3a
const CR = 0x0d
const LF = 0x0a
const SP = 0x20
const UNDERSCORE = 0x5f

export type Fields = {
  /** The whole head as latin1, the empty line included; '' until it is complete. */
  text: string
  count: number
  /** Four offsets into `text` per field: name start and end, value start and end, OWS trimmed. */
  at: Int32Array
  /** A `FIELD` per field. */
  kinds: Uint8Array
  /** 1 where the field's octets are exactly `Name: value` CRLF: to be copied as they are. */
  canonical: Uint8Array
  /** Why the head was refused. */
  reason: string
  /** Where `text` begins in the octets that were given. */
  base: number
  /** No head has more fields than this, nor than the arrays have room for. */
  countMax: number
}

/** A token without underscores: with one, a name is looked at more closely. */
const NAME = new Uint8Array(TOKEN)
NAME[UNDERSCORE] = 0

/** Where the values of one field begin in `at`. */
export const OFFSETS = 4
export const NAME_START = 0
export const NAME_END = 1
export const VALUE_START = 2
export const VALUE_END = 3

/** `capacity`: no head with more fields can be read into it, whatever the limits say. */
export function createFields(capacity = FIELDS_MAX): Fields {
  return {
    text: '',
    count: 0,
    at: new Int32Array(capacity * OFFSETS),
    kinds: new Uint8Array(capacity),
    canonical: new Uint8Array(capacity),
    reason: '',
    base: 0,
    countMax: capacity,
  }
}

export function nameAt(fields: Fields, index: number): string {
  const { at } = fields
  return fields.text.slice(at[index * OFFSETS + NAME_START], at[index * OFFSETS + NAME_END])
}

export function valueAt(fields: Fields, index: number): string {
  const { at } = fields
  return fields.text.slice(at[index * OFFSETS + VALUE_START], at[index * OFFSETS + VALUE_END])
}

/** The value of the first field of that kind, or undefined. */
export function valueOfKind(fields: Fields, kind: FieldKind): string | undefined {
  for (let index = 0; index < fields.count; index += 1) {
    if (fields.kinds[index] === kind) return valueAt(fields, index)
  }
  return undefined
}

/**
 * Reads the field lines from `from` on up to the empty line; `base` and `countMax` are set before.
 * Returns the offset after the empty line; 0 when all there is is valid but not complete; else
 * minus the status of the refusal, 400 or 431, with the reason in `fields`.
 */
export function scanFields(bytes: Uint8Array, from: number, to: number, fields: Fields): number {
  const { at: offsets, kinds, canonical, base } = fields
  const countMax = Math.min(fields.countMax, kinds.length)
  let count = 0
  let at = from
  for (;;) {
    const nameStart = at
    at = endOf(NAME, bytes, at, to)
    const hasUnderscore = at < to && bytes[at] === UNDERSCORE
    if (hasUnderscore) at = endOf(TOKEN, bytes, at, to)
    if (at === to) return 0
    const nameEnd = at
    if (nameEnd === nameStart) return readEmptyLine(bytes, at, to, fields, count)
    if (bytes[nameEnd] !== COLON) return refuse(fields, 400, faultAfterName(bytes[at] as number))
    if (count === countMax) return refuse(fields, 431, `more than ${countMax} fields`)
    at = endOfBlanks(bytes, nameEnd + 1, to)
    const valueStart = at
    at = endOfValue(bytes, at, to)
    if (at === to) return 0
    if (bytes[at] !== CR) return refuse(fields, 400, faultInValue(bytes[at] as number))
    if (at + 1 === to) return 0
    if (bytes[at + 1] !== LF) return refuse(fields, 400, 'a CR without LF in a field value')
    let valueEnd = at
    while (valueEnd > valueStart && isBlank(bytes[valueEnd - 1] as number)) valueEnd -= 1
    const offset = count * OFFSETS
    offsets[offset] = nameStart - base
    offsets[offset + 1] = nameEnd - base
    offsets[offset + 2] = valueStart - base
    offsets[offset + 3] = valueEnd - base
    kinds[count] = kindOf(bytes, nameStart, nameEnd, hasUnderscore)
    const isPlain = valueStart === nameEnd + 2 && valueEnd === at && bytes[nameEnd + 1] === SP
    canonical[count] = isPlain ? 1 : 0
    count += 1
    at += 2
  }
}

function readEmptyLine(
  bytes: Uint8Array,
  at: number,
  to: number,
  fields: Fields,
  count: number,
): number {
  if (bytes[at] !== CR) return refuse(fields, 400, faultOfLineStart(bytes[at] as number))
  if (at + 1 === to) return 0
  if (bytes[at + 1] !== LF) return refuse(fields, 400, 'a CR without LF after the fields')
  fields.count = count
  return at + 2
}

/** Whether a field of this kind in a trailer section could change what was already decided. */
export function isForbiddenInTrailers(kind: FieldKind): boolean {
  switch (kind) {
    case FIELD.host:
    case FIELD.contentLength:
    case FIELD.transferEncoding:
    case FIELD.connection:
    case FIELD.upgrade:
    case FIELD.expect:
    case FIELD.te:
    case FIELD.trailer:
      return true
    default:
      return false
  }
}

function refuse(fields: Fields, status: number, reason: string): number {
  fields.reason = reason
  return -status
}

function faultOfLineStart(octet: number): string {
  if (octet === LF) return 'a line ends with LF alone'
  if (octet === COLON) return 'a field without a name'
  // RFC 9112 section 5.2: obs-fold, and section 2.2: blanks before the first field.
  if (isBlank(octet)) return 'a field line begins with a blank'
  return `octet ${hex(octet)} in a field name`
}

function faultAfterName(octet: number): string {
  if (isBlank(octet)) return 'a blank between a field name and its colon'
  if (octet === CR || octet === LF) return 'a field line without a colon'
  return `octet ${hex(octet)} in a field name`
}

function faultInValue(octet: number): string {
  if (octet === LF) return 'a line ends with LF alone'
  return `octet ${hex(octet)} in a field value`
}

function hex(octet: number): string {
  return `0x${octet.toString(16).padStart(2, '0')}`
}
