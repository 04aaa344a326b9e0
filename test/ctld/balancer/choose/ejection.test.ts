import { describe, expect, test } from 'vitest'
import {
  chosen,
  EJECTION_MAX_MS,
  type Ejection,
  failedHard,
  HARD_FAILURES_MAX,
  isEjected,
  newEjection,
  onlyEjectedLeft,
  succeeded,
  TRIAL_MS,
  undecided,
  unreachable,
} from '#ctld/balancer/data-plane/choose/ejection.ts'
import { newPickState, pick } from '#ctld/balancer/data-plane/choose/pick.ts'
import { forEachSeed } from '#test/helpers/seeds.ts'

/** For how long it is skipped from `now` on. */
const skippedFor = ({ until }: Ejection, now: number) => until - now

describe('an instance that cannot be reached', () => {
  test('is skipped for 1 s, 2 s, 4 s, 8 s and then 10 s, as long as every trial fails', () => {
    const ejection = newEjection()
    let now = 5_000
    const times: number[] = []
    for (let round = 0; round < 6; round += 1) {
      expect(isEjected(ejection, now)).toBe(false)
      chosen(ejection, now)
      expect(unreachable(ejection, now)).toBe(true)
      times.push(skippedFor(ejection, now))
      expect(isEjected(ejection, ejection.until - 1)).toBe(true)
      now = ejection.until
    }
    expect(times).toEqual([1_000, 2_000, 4_000, 8_000, 10_000, 10_000])
  })

  test('fails once, however many connections fail in the same moment', () => {
    const ejection = newEjection()
    expect(unreachable(ejection, 0)).toBe(true)
    expect([unreachable(ejection, 0), unreachable(ejection, 999)]).toEqual([false, false])
    expect(failedHard(ejection, 999)).toBe(false)
    expect(skippedFor(ejection, 0)).toBe(1_000)
  })

  test('begins again with 1 s once it has succeeded', () => {
    const ejection = newEjection()
    unreachable(ejection, 0)
    chosen(ejection, 1_000)
    unreachable(ejection, 1_000)
    chosen(ejection, 3_000)
    succeeded(ejection)
    expect(isEjected(ejection, 3_000)).toBe(false)
    unreachable(ejection, 3_000)
    expect(skippedFor(ejection, 3_000)).toBe(1_000)
  })
})

describe('failed answers', () => {
  test('eject after five in a row, one success between them counts anew', () => {
    const ejection = newEjection()
    const fail = (times: number) => Array.from({ length: times }, () => failedHard(ejection, 0))
    expect(fail(HARD_FAILURES_MAX - 1)).not.toContain(true)
    succeeded(ejection)
    expect(fail(HARD_FAILURES_MAX)).toEqual([false, false, false, false, true])
    expect(isEjected(ejection, 999)).toBe(true)
    expect(isEjected(ejection, 1_000)).toBe(false)
  })

  test('end a trial at once', () => {
    const ejection = newEjection()
    unreachable(ejection, 0)
    chosen(ejection, 1_000)
    expect(failedHard(ejection, 1_100)).toBe(true)
    expect(skippedFor(ejection, 1_100)).toBe(2_000)
  })
})

describe('a trial', () => {
  function onTrial() {
    const ejection = newEjection()
    unreachable(ejection, 0)
    chosen(ejection, 1_000)
    return ejection
  }

  test('lets one request through, the others stay out until it is over', () => {
    const ejection = newEjection()
    unreachable(ejection, 0)
    expect(isEjected(ejection, 1_000)).toBe(false)
    chosen(ejection, 1_000)
    expect(isEjected(ejection, 1_000)).toBe(true)
    succeeded(ejection)
    expect(isEjected(ejection, 1_000)).toBe(false)
  })

  test('that ends without an outcome leaves the place to the next one at once', () => {
    const ejection = onTrial()
    undecided(ejection, 1_500)
    expect(isEjected(ejection, 1_500)).toBe(false)
    chosen(ejection, 1_500)
    unreachable(ejection, 1_500)
    expect(skippedFor(ejection, 1_500)).toBe(2_000)
  })

  test('that takes long keeps nobody out for ever', () => {
    const ejection = onTrial()
    expect(isEjected(ejection, 1_000 + TRIAL_MS - 1)).toBe(true)
    expect(isEjected(ejection, 1_000 + TRIAL_MS)).toBe(false)
  })

  test('is not decided by answers to requests from before', () => {
    const ejection = newEjection()
    unreachable(ejection, 0)
    succeeded(ejection)
    expect(isEjected(ejection, 999)).toBe(true)
    undecided(ejection, 500)
    expect(isEjected(ejection, 999)).toBe(true)
    succeeded(ejection)
    chosen(ejection, 1_000)
    unreachable(ejection, 1_000)
    expect(skippedFor(ejection, 1_000)).toBe(2_000)
  })

  test('also is what an ejected instance gets as the last resort', () => {
    const ejection = newEjection()
    unreachable(ejection, 0)
    chosen(ejection, 100)
    succeeded(ejection)
    expect(isEjected(ejection, 100)).toBe(false)
  })
})

test('a healthy instance knows nothing of trials', () => {
  const ejection = newEjection()
  chosen(ejection, 0)
  undecided(ejection, 0)
  expect(ejection).toEqual(newEjection())
})

test(
  'whatever happens: nobody is skipped for more than 10 s, a success on trial always returns it',
  forEachSeed(500, (random) => {
    const ejection = newEjection()
    let now = random.int(0, 1_000_000)
    for (let step = 0; step < 100; step += 1) {
      now += random.int(0, 3_000)
      const act = random.pick([unreachable, failedHard, succeeded, chosen, undecided])
      act(ejection, now)
      expect(skippedFor(ejection, now)).toBeLessThanOrEqual(Math.max(EJECTION_MAX_MS, TRIAL_MS))
      if (!isEjected(ejection, now)) continue
      const copy = { ...ejection }
      chosen(copy, now)
      succeeded(copy)
      expect(isEjected(copy, now)).toBe(false)
    }
  }),
)

test(
  'the last one is never ejected: somebody is found as long as somebody was not tried yet',
  forEachSeed(300, (random) => {
    const list = Array.from({ length: random.int(1, 5) }, (_, at) => ({
      instance: `i${at}`,
      weight: random.int(1, 10),
      ejection: newEjection(),
      isFull: false,
    }))
    type One = (typeof list)[number]
    const state = newPickState()
    let now = 0
    for (let turn = 0; turn < 60; turn += 1) {
      now += random.int(0, 800)
      const tried = new Set(list.filter(() => random.chance(0.2)))
      for (const one of list) one.isFull = random.chance(0.2)
      const isTried = (one: One) => tried.has(one)
      const isDesperate = onlyEjectedLeft(list, isTried, ({ ejection }) => ejection, now)
      const found = pick('least_request', list, state, {
        isExcluded: (one) =>
          isTried(one) || one.isFull || (!isDesperate && isEjected(one.ejection, now)),
        inFlight: () => 0,
        random: random.random,
      })
      const free = list.filter((one) => !isTried(one) && !isEjected(one.ejection, now))
      const left = list.filter((one) => !isTried(one))
      // The ejected wait behind whoever works, even when that one is full just now.
      const expected = (free.length > 0 ? free : left).filter(({ isFull }) => !isFull)
      if (expected.length === 0) expect(found).toBeUndefined()
      else expect(expected).toContain(found)
      if (found === undefined) continue
      chosen(found.ejection, now)
      if (random.chance(0.7)) unreachable(found.ejection, now)
      else succeeded(found.ejection)
    }
  }),
)
