// Finds where a text stops being JSON (RFC 8259). The engine that refuses a text does not always
// say the place; this is run only after it has refused one.

const blank = /[ \t\n\r]*/y
const text = /"(?:[^"\\\p{Cc}]+|\\(?:["\\/bfnrt]|u[\dA-Fa-f]{4}))*"/uy
const scalar = /(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.+-])/y

type Expectation = 'value' | 'value or end' | 'key' | 'key or end' | 'colon' | 'comma or end'

/** Offset of the first character that no JSON text could have there. */
export function jsonErrorOffset(source: string): number {
  const open: ('[' | '{')[] = []
  let expected: Expectation | 'nothing' = 'value'
  let offset = skip(blank, source, 0)
  while (offset < source.length && expected !== 'nothing') {
    const step = advance(source, offset, expected, open)
    if (step === undefined) return offset
    expected = step.expected
    offset = skip(blank, source, step.offset)
  }
  return offset
}

type Step = { offset: number; expected: Expectation | 'nothing' }

function advance(
  source: string,
  offset: number,
  expected: Expectation,
  open: ('[' | '{')[],
): Step | undefined {
  const character = source[offset]
  const inside = open.at(-1)
  const next = offset + 1
  if (expected === 'colon') {
    return character === ':' ? { offset: next, expected: 'value' } : undefined
  }
  if (character === (inside === '[' ? ']' : '}') && expected.endsWith('or end')) {
    open.pop()
    return { offset: next, expected: afterValue(open) }
  }
  if (expected === 'comma or end') {
    if (character !== ',') return undefined
    return { offset: next, expected: inside === '[' ? 'value' : 'key' }
  }
  if (expected === 'key' || expected === 'key or end') {
    const end = skip(text, source, offset)
    return end === offset ? undefined : { offset: end, expected: 'colon' }
  }
  if (character === '[' || character === '{') {
    open.push(character)
    return { offset: next, expected: character === '[' ? 'value or end' : 'key or end' }
  }
  const end = skip(character === '"' ? text : scalar, source, offset)
  return end === offset ? undefined : { offset: end, expected: afterValue(open) }
}

function afterValue(open: readonly string[]): Expectation | 'nothing' {
  return open.length === 0 ? 'nothing' : 'comma or end'
}

function skip(pattern: RegExp, source: string, offset: number): number {
  pattern.lastIndex = offset
  return pattern.test(source) ? pattern.lastIndex : offset
}
