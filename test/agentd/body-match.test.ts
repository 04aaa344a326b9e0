// What is looked for in a body: in order, however it is cut, and in linear time.

import { expect, test } from 'vitest'
import { BODY_BYTES_MAX, createBodyMatch } from '#agentd/runner/body-match.ts'
import { forEachSeed } from '#test/helpers/seeds.ts'

function missingIn(body: string | Buffer, texts: string[], pieceBytes = 7): string | undefined {
  const match = createBodyMatch(texts)
  const bytes = Buffer.from(body)
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    if (match.add(bytes.subarray(at, at + pieceBytes))) break
  }
  return match.missing()
}

test('texts are found one behind the other, and never twice in one place', () => {
  expect(missingIn('{"status": "ok"}', ['"status"', '"ok"'])).toBeUndefined()
  expect(missingIn('{"status": "ok"}', ['"ok"', '"status"'])).toBe('"status"')
  expect(missingIn('abab', ['ab', 'ab'])).toBeUndefined()
  expect(missingIn('aba', ['ab', 'ba'])).toBe('ba')
  expect(missingIn('', ['a'])).toBe('a')
  expect(missingIn('Grüße 🎉', ['üße', '🎉'], 1)).toBeUndefined()
})

test('what comes behind 64 KiB is not looked at', () => {
  const filler = 'x'.repeat(BODY_BYTES_MAX - 2)
  expect(missingIn(`${filler}ok`, ['ok'], 1_000)).toBeUndefined()
  expect(missingIn(`${filler}xok`, ['ok'], 1_000)).toBe('ok')
  const match = createBodyMatch(['never'])
  expect(match.add(Buffer.alloc(BODY_BYTES_MAX - 1))).toBe(false)
  expect(match.add(Buffer.alloc(1_000_000))).toBe(true)
})

test(
  'finds what a search of the whole finds, however the body is cut into pieces',
  forEachSeed(2_000, (random) => {
    const letters = (max: number) =>
      Array.from({ length: random.int(1, max) }, () => random.pick(['a', 'b'])).join('')
    const body = letters(60)
    const texts = Array.from({ length: random.int(1, 4) }, () => letters(5))
    let from = 0
    let expected: string | undefined
    for (const text of texts) {
      const at = body.indexOf(text, from)
      if (at === -1) {
        expected = text
        break
      }
      from = at + text.length
    }
    expect(missingIn(body, texts, random.int(1, 9))).toBe(expected)
  }),
)

test('a body that almost fits at every byte, byte by byte, costs no more than it is long', () => {
  // Each byte is looked at once for each text: what costs more would take hours here.
  const match = createBodyMatch([`${'a'.repeat(255)}b`])
  for (let count = 0; count < BODY_BYTES_MAX; count += 1) match.add(Buffer.from('a'))
  expect(match.missing()).toBeDefined()
})
