import { expect, test } from 'vitest'
import { z } from 'zod'
import { jsonDocument } from '#shared/document.ts'
import { checkDocument } from '#shared/schema.ts'
import { expectedOf } from '#shared/schema-keys.ts'
import { complaints } from '#test/helpers/configurations.ts'

test.each([
  [z.string(), 'text'],
  [z.string().min(1).max(5), 'text, 1..5 characters'],
  [z.string().regex(/^a$/), 'text that matches /^a$/'],
  [z.number(), 'a number'],
  [z.int().min(1).max(9), 'a whole number, 1..9'],
  [z.int().min(0), 'a whole number, 0..'],
  [z.boolean().default(true), 'true or false'],
  [z.enum(['a', 'b']).optional(), 'one of a, b'],
  [z.literal([0, 1]), '0 or 1'],
  [z.array(z.int()), 'a list; each item a whole number'],
  [z.union([z.boolean(), z.literal('x')]), 'true or false or x'],
  [z.strictObject({ a: z.int(), b: z.int() }), 'a mapping with the keys a, b'],
  [z.record(z.string(), z.int()), 'a mapping'],
  [z.unknown(), 'a value'],
  [z.int().meta({ expected: 'a port' }).default(1), 'a port'],
])('a schema says what it expects (%#)', (schema, expected) => {
  expect(expectedOf(schema)).toBe(expected)
})

const schema = z.strictObject({
  name: z.string(),
  secret: z.string().min(8).meta({ secret: true }).optional(),
  size: z.int().max(9).default(3),
})

test('gives the value with its defaults', () => {
  expect(checkDocument(schema, jsonDocument({ name: 'a' }))).toEqual({ name: 'a', size: 3 })
})

test('names every fault with its pointer; a secret value is not among them', () => {
  const data = { secret: 'hunter2', size: 10, nmae: 'a' }
  expect(complaints(() => checkDocument(schema, jsonDocument(data)))).toBe(
    '/name: missing; expected text\n' +
      '/secret: expected text, 8.. characters, got a string\n' +
      '/size: expected a whole number, ..9, got 10\n' +
      '/nmae: unknown key "nmae"; did you mean `name`?',
  )
})

test('of many unknown keys it names the first twenty and counts the others', () => {
  const data = Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`zzzzz${n}`, 1]))
  const said = complaints(() => checkDocument(schema, jsonDocument({ name: 'a', ...data })))
  expect(said.split('\n')).toHaveLength(21)
  expect(said).toContain('/: 30 more unknown keys')
})
