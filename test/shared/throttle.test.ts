import { expect, test } from 'vitest'
import { createThrottle } from '#shared/throttle.ts'

test('lets so many through in a window, and says how long to wait after them', () => {
  const throttle = createThrottle({ max: 2, windowMs: 1_000, keysMax: 10 })
  expect([throttle.take('a', 0), throttle.take('a', 400), throttle.take('a', 500)]).toEqual([
    true,
    true,
    false,
  ])
  expect([throttle.waitOf('a', 600), throttle.waitOf('b', 600)]).toEqual([400, 0])
  expect([throttle.waitOf('a', 1_000), throttle.take('a', 1_000)]).toEqual([0, true])
})

test('forgets the oldest key when there are too many', () => {
  const throttle = createThrottle({ max: 1, windowMs: 1_000, keysMax: 2 })
  for (const key of ['a', 'b', 'c']) throttle.take(key, 0)
  expect(['a', 'b', 'c'].map((key) => throttle.waitOf(key, 1))).toEqual([0, 999, 999])
})
