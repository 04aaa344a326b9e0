import { describe, expect, test } from 'vitest'
import {
  createRetryBudget,
  RETRIES_MIN,
  RETRIES_SHARE,
} from '#ctld/balancer/data-plane/choose/retry-budget.ts'
import { forEachSeed } from '#test/helpers/seeds.ts'

function granted(budget: ReturnType<typeof createRetryBudget>, now: number, asked: number): number {
  return Array.from({ length: asked }, () => budget.mayRetry(now)).filter(Boolean).length
}

describe('the budget of retries', () => {
  test('is ten within ten seconds, when there are few requests', () => {
    const budget = createRetryBudget()
    for (let request = 0; request < 20; request += 1) budget.request(0)
    expect(granted(budget, 0, 100)).toBe(10)
    expect(granted(budget, 9_999, 100)).toBe(0)
    expect(granted(budget, 10_000, 100)).toBe(10)
  })

  test('is a fifth of the requests, when there are many', () => {
    const budget = createRetryBudget()
    for (let request = 0; request < 1_000; request += 1) budget.request(500)
    expect(granted(budget, 600, 500)).toBe(200)
    budget.request(700)
    expect(granted(budget, 700, 5)).toBe(0)
    for (let request = 0; request < 4; request += 1) budget.request(700)
    expect(granted(budget, 700, 5)).toBe(1)
  })

  test('starts anew after a pause, however long, and at any time of the clock', () => {
    const budget = createRetryBudget()
    for (const now of [-12_345.6, 0, 3_000_000.5, 9e15]) {
      expect(granted(budget, now, 100)).toBe(RETRIES_MIN)
    }
  })

  test(
    'is never more than a fifth of the requests of the last ten seconds, or ten, and is given out',
    forEachSeed(100, (random) => {
      const budget = createRetryBudget()
      const events: { second: number; isRetry: boolean }[] = []
      let now = random.random() * 1e6
      for (let step = 0; step < 500; step += 1) {
        now += random.chance(0.02) ? random.random() * 15_000 : random.random() * 120
        const second = Math.floor(now / 1_000)
        const inWindow = events.filter((event) => event.second > second - 10)
        const requests = inWindow.filter(({ isRetry }) => !isRetry).length
        const retries = inWindow.length - requests
        if (random.chance(0.6)) {
          budget.request(now)
          events.push({ second, isRetry: false })
          continue
        }
        const isAllowed = retries < Math.max(RETRIES_MIN, Math.floor(requests * RETRIES_SHARE))
        expect(budget.mayRetry(now)).toBe(isAllowed)
        if (isAllowed) events.push({ second, isRetry: true })
      }
    }),
  )
})
