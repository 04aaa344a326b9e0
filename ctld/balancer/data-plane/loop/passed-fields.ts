// Decides which fields of a head go on. A run of fields that are passed as they came is taken over
// as one piece of text; every other one is written anew from its name and value.

import { FIELD, type FieldKind } from '#ctld/balancer/data-plane/http1/field-kinds.ts'
import { type Fields, nameAt, valueAt } from '#ctld/balancer/data-plane/http1/fields.ts'

/** By kind of field: 1 where it is passed on. */
export type Passing = Uint8Array

/** Fields that are nothing special are always passed. */
export function passing(...kinds: FieldKind[]): Passing {
  const table = new Uint8Array(Object.keys(FIELD).length)
  for (const kind of [FIELD.other, ...kinds]) table[kind] = 1
  return table
}

/**
 * The lines that go on, each with its end. `named`: lower-case names that Connection claims for
 * itself; naming Host there must not take it away, because it says where a message goes.
 */
export function passedFields(
  fields: Fields,
  passes: Passing,
  named: readonly string[] | undefined,
): string {
  const { text, count, at, kinds, canonical } = fields
  let passed = ''
  let runFrom = -1
  let runTo = -1
  for (let index = 0; index < count; index += 1) {
    const isPassed =
      passes[kinds[index] as number] === 1 &&
      (named === undefined || !isNamed(fields, index, named))
    if (isPassed && canonical[index] === 1) {
      if (runFrom === -1) runFrom = at[index * 4] as number
      // Up to the end of the value, and the line's end.
      runTo = (at[index * 4 + 3] as number) + 2
      continue
    }
    if (runFrom !== -1) {
      passed += text.slice(runFrom, runTo)
      runFrom = -1
    }
    if (isPassed) passed += `${nameAt(fields, index)}: ${valueAt(fields, index)}\r\n`
  }
  return runFrom === -1 ? passed : passed + text.slice(runFrom, runTo)
}

function isNamed(fields: Fields, index: number, named: readonly string[]): boolean {
  return fields.kinds[index] !== FIELD.host && named.includes(nameAt(fields, index).toLowerCase())
}
