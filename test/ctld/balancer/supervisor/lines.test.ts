// Lines out of pieces, and messages out of lines.

import { expect, test } from 'vitest'
import { createLines } from '#ctld/balancer/data-plane/supervisor/lines.ts'
import { hearController, hearDataPlane } from '#ctld/balancer/data-plane/supervisor/protocol.ts'
import { aRoute, settings } from './world.ts'

test('lines come out whole, however they are cut on the way', () => {
  const text = Buffer.from('{"a":"é"}\n\n{"b":2}\nrest')
  for (let size = 1; size <= text.length; size += 1) {
    const lines = createLines(100)
    const seen: string[] = []
    for (let at = 0; at < text.length; at += size) {
      seen.push(...lines.feed(text.subarray(at, at + size)))
    }
    expect(seen).toEqual(['{"a":"é"}', '', '{"b":2}'])
  }
})

test('a line that is too long is refused before it is complete, and is not kept', () => {
  const lines = createLines(10)
  expect(lines.feed(Buffer.from('0123456789\n'))).toEqual(['0123456789'])
  expect(() => lines.feed(Buffer.from('0123456789a'))).toThrow('longer than 10 bytes')
})

test('a table is taken as it is, without keys that nobody knows', () => {
  const table = { kind: 'table', version: 3, settings, routes: [aRoute('a', ['i-1'])] }
  const heard = hearController(JSON.stringify({ ...table, newer: true }))
  expect(heard).toEqual({ message: table })
})

test.each([
  ['{', 'it is not JSON'],
  ['{"kind":"nothing"}', 'kind'],
  [JSON.stringify({ kind: 'table', version: 1, settings }), 'routes'],
  [
    JSON.stringify({
      kind: 'table',
      version: 1,
      settings,
      routes: [{ ...aRoute('a', []), idleMs: -1 }],
    }),
    'routes.0.idleMs',
  ],
  ['{"kind":"upgrade","command":[]}', 'command'],
])('what is no message is refused with its place: %s', (line, where) => {
  const heard = hearController(line)
  expect('error' in heard && heard.error).toContain(where)
})

test('more instances than the balancer counts are refused', () => {
  const route = aRoute(
    'a',
    Array.from({ length: 8_193 }, (_, index) => `i-${index}`),
  )
  const heard = hearController(
    JSON.stringify({ kind: 'table', version: 1, settings, routes: [route] }),
  )
  expect(heard).toEqual({ error: 'routes: the table has more than 8192 instances' })
})

test('what a data plane says is checked as well', () => {
  const hello = { kind: 'hello', protocol: 1, program: '1', pid: 5, tableVersion: -1, routed: [] }
  expect(hearDataPlane(JSON.stringify(hello))).toEqual({ message: hello })
  expect(hearDataPlane('{"kind":"hello"}')).toHaveProperty('error')
})
