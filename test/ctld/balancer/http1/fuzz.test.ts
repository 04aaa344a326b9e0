// Our parser against Node's own, over requests that are nearly right. Ours may refuse more, and
// never less; what both take for a request must be the same request with the same end.

import { METHODS } from 'node:http'
import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { randomOf } from '#test/helpers/seeds.ts'
import { mutatedRequest } from './mutations.ts'
import { createNodeReader, type Message, ourReading, type StreamReading } from './streams.ts'

const COUNT = 100_000
/** Node frees a connection some time after it is destroyed. */
const BATCH = 250

const methods = new Set(METHODS)

test('is never laxer than the parser of Node, and never reads another request', async () => {
  const readOfNode = createNodeReader()
  const tally = { requests: 0, refused: 0, whole: 0 }
  for (const seed of seeds()) {
    if (seed % BATCH === 0) await setImmediate()
    const text = withKnownMethods(mutatedRequest(randomOf(seed)))
    const bytes = Buffer.from(text, 'latin1')
    const ours = ourReading(bytes)
    const fault = faultOf(ours, readOfNode(bytes))
    if (fault !== '') {
      throw new Error(`seed ${seed} (SEED=${seed} replays it): ${fault}\n${JSON.stringify(text)}`)
    }
    tally.requests += ours.messages.length
    tally.whole += ours.messages.filter(({ isWhole }) => isWhole).length
    if (ours.end === 'refused') tally.refused += 1
  }
  if (process.env.SEED !== undefined) return
  // Or nothing of it would mean anything.
  expect(tally.refused).toBeGreaterThan(COUNT / 4)
  expect(tally.refused).toBeLessThan((COUNT * 9) / 10)
  expect(tally.whole).toBeGreaterThan(COUNT / 4)
}, 120_000)

test('sees what would be laxer, or another request', () => {
  const readOfNode = createNodeReader()
  const right = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello'
  const wrong: [string, string][] = [
    ['Host: a', 'Host : a'],
    ['Content-Length: 5', 'Content-Length: +5'],
    ['Content-Length: 5', 'Content-Length: 4'],
    ['Content-Length: 5', 'Transfer-Encoding: chunked'],
    ['POST / ', 'POST /b '],
    ['a\r\n', 'a\n'],
  ]
  const ours = ourReading(Buffer.from(right))
  expect(faultOf(ours, readOfNode(Buffer.from(right)))).toBe('')
  for (const [from, to] of wrong) {
    const other = Buffer.from(right.replace(from, to))
    expect(faultOf(ours, readOfNode(other)), to).not.toBe('')
  }
})

test('keeps nothing of what it has read', () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const used = () => {
    collect()
    return process.memoryUsage().heapUsed
  }
  const readMany = () => {
    for (let seed = 0; seed < 5000; seed += 1) {
      ourReading(Buffer.from(mutatedRequest(randomOf(seed)), 'latin1'))
    }
  }
  readMany()
  const before = used()
  for (let round = 0; round < 4; round += 1) readMany()
  expect(used() - before).toBeLessThan(512 * 1024)
})

function seeds(): Iterable<number> {
  if (process.env.SEED !== undefined) return [Number(process.env.SEED)]
  return Array.from({ length: COUNT }, (_, seed) => seed)
}

/**
 * Node knows a list of methods; RFC 9110 section 9.1 lets everybody add one, so ours takes every
 * token and asks nobody. Compared is what is left when the method is one of the list.
 */
function withKnownMethods(text: string): string {
  const { messages, starts } = ourReading(Buffer.from(text, 'latin1'))
  let known = text
  // From the end on, so that the offsets before stay right.
  for (const [index, { method }] of [...messages.entries()].reverse()) {
    const at = starts[index] as number
    if (methods.has(method)) continue
    known = `${known.slice(0, at)}POST${known.slice(at + method.length)}`
  }
  return known
}

/** In what ours is laxer or reads something else; '' when it is right. */
function faultOf(ours: StreamReading, node: StreamReading): string {
  for (const [index, message] of ours.messages.entries()) {
    const same = node.messages[index]
    if (same === undefined) return `request ${index} is none for Node: ${node.why}`
    const fault = differenceOf(message, same)
    if (fault !== '') return `request ${index}: ${fault} (Node: ${node.why})`
  }
  if (ours.end === 'refused') return ''
  // What fields say is judged by ours when all of them are there, by Node as soon as it sees them.
  if (ours.end === 'open' && node.end === 'refused' && ours.why === 'in a body') {
    return `Node refuses what is ${ours.why}: ${node.why}`
  }
  if (ours.end === 'open' && node.messages.length > ours.messages.length) return 'one more for Node'
  return ''
}

function differenceOf(ours: Message, node: Message): string {
  for (const key of ['method', 'target', 'minor'] as const) {
    if (ours[key] !== node[key]) return `${key} ${ours[key]}, not ${node[key]}`
  }
  if (ours.fields.join('\n') !== node.fields.join('\n')) return `other fields: ${node.fields}`
  if (ours.isWhole && !node.isWhole) return 'a body that has no end for Node'
  if (ours.isWhole && ours.body !== node.body) return `the body is ${JSON.stringify(node.body)}`
  // A refused body was handed out as far as it was right.
  return node.body.startsWith(ours.body) || ours.body.startsWith(node.body) ? '' : 'other bodies'
}
