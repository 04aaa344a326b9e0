// Back-off, order and limits of the outbox.

import { expect, test } from 'vitest'
import { OUTBOX_MAX, type OutboxMail } from '#ctld/discovery/document.ts'
import {
  afterFailure,
  afterSent,
  answeredWords,
  isRefusal,
  makeRoom,
  pickMail,
} from '#ctld/notifier/outbox.ts'
import { begins, START, World } from './world.ts'

const refusal = answeredWords(550, 'no such user')
const day = 86_400_000

function waiting(id: string, rest: Partial<OutboxMail> = {}): OutboxMail {
  return {
    id,
    kind: 'first',
    incident: `incident of ${id}`,
    createdAt: START,
    mail: { to: ['ops@example.net'], subject: `subject ${id}`, text: 'text' },
    dropped: 0,
    tries: 0,
    nextAt: START,
    lastError: null,
    ...rest,
  }
}

/** The waits between the tries of a mail that always fails. */
function waits(error: string, tries: number, random = 0.5): number[] {
  let outbox = [waiting('a')]
  return Array.from({ length: tries }, () => {
    outbox = afterFailure(outbox, { id: 'a', error, random }, START).outbox
    return ((outbox[0]?.nextAt ?? 0) - START) / 1_000
  })
}

test('F39: waits 5, 10, 20, 40 s and never more than a minute for a server that is down', () => {
  expect(waits('connection refused', 6)).toEqual([5, 10, 20, 40, 50, 50])
  expect(waits('connection refused', 2_000, 1).at(-1)).toBeLessThanOrEqual(60)
})

test('a refusal for good is tried again after up to 10 min', () => {
  expect(waits(refusal, 9)).toEqual([5, 10, 20, 40, 80, 160, 320, 600, 600])
})

test('jitter spreads a wait by a fifth', () => {
  expect(waits('down', 1, 0)).toEqual([4])
  expect(waits('down', 1, 1)).toEqual([6])
})

test('tells a refusal for good from a passing failure by the code that came first', () => {
  expect(isRefusal(answeredWords(535, 'bad password'))).toBe(true)
  expect(isRefusal(answeredWords(451, 'upstream answered 550 before'))).toBe(false)
  expect(isRefusal('connect ECONNREFUSED 127.0.0.1:5500')).toBe(false)
})

test('a mail that is refused for 7 days is dropped, and the history says so', () => {
  const fail = (now: number) =>
    afterFailure([waiting('a')], { id: 'a', error: refusal, random: 0 }, now)
  expect(fail(START + 7 * day - 1)).toMatchObject({ outbox: [{ tries: 1 }], notices: [] })
  expect(fail(START + 7 * day)).toEqual({
    outbox: [],
    notices: [`mail "subject a" dropped, refused for 7 days: ${refusal}`],
  })
  const passing = { id: 'a', error: 'down', random: 0 }
  expect(afterFailure([waiting('a')], passing, START + 700 * day).outbox.length).toBe(1)
})

test('one that fails does not keep the others from being tried, but calms them', () => {
  const both = [waiting('a'), waiting('b')]
  const { outbox } = afterFailure(both, { id: 'a', error: 'down', random: 1 }, START)
  expect(pickMail(outbox, START).mail).toBeUndefined()
  expect(pickMail(outbox, START + 5_000).mail?.id).toBe('b')
  expect(afterSent(outbox, 'b', START + 5_000)).toMatchObject([{ id: 'a', nextAt: START + 5_000 }])
})

test('a recovery waits for the mail that it answers, unless that one is refused for good', () => {
  const first = waiting('a', { incident: 'i', nextAt: START + 9_000, lastError: 'down' })
  const recovery = waiting('b', { incident: 'i', kind: 'recovery' })
  expect(pickMail([first, recovery], START)).toEqual({ mail: undefined, wakeAt: START + 9_000 })
  expect(pickMail([{ ...first, lastError: refusal }, recovery], START).mail?.id).toBe('b')
})

test('S14: makes room by dropping tests, then reminders and digests, then the oldest', () => {
  const full = [
    waiting('flying', { kind: 'reminder' }),
    ...Array.from({ length: OUTBOX_MAX - 3 }, (_, index) => waiting(`m${index}`)),
    waiting('reminder', { kind: 'reminder' }),
    waiting('test', { kind: 'test' }),
  ]
  const names = (count: number) => makeRoom(full, count, 'flying').dropped.map(({ id }) => id)
  expect(names(0)).toEqual([])
  expect(names(3)).toEqual(['test', 'reminder', 'm0'])
  expect(makeRoom(full, 3, 'flying').outbox.length).toBe(OUTBOX_MAX - 3)
})

test('the next mail says how many were dropped before it', () => {
  const world = new World({ gather: '0s' })
  world.disk.outbox = Array.from({ length: OUTBOX_MAX }, (_, index) => waiting(`m${index}`))
  world.crash()
  world.step([begins('w1')])
  const { outbox } = world.disk
  expect(outbox.length).toBe(OUTBOX_MAX)
  expect(outbox.at(-1)).toMatchObject({ kind: 'first', dropped: 1 })
  expect(outbox.at(-1)?.mail.text).toContain('1 older mail(s) could not be kept')
})
