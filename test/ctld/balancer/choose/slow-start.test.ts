import { expect, test } from 'vitest'
import { slowStartWeight } from '#ctld/balancer/data-plane/choose/slow-start.ts'
import { forEachSeed } from '#test/helpers/seeds.ts'

test.each([
  [0, 1],
  [-5, 1],
  [5_000, 5.5],
  [10_000, 10],
  [Number.POSITIVE_INFINITY, 10],
])('a weight of 10 is after %s ms of 10 s %s', (ageMs, weight) => {
  expect(slowStartWeight(10, ageMs, 10_000)).toBeCloseTo(weight, 10)
})

test('without a slow start all of the weight is there at once', () => {
  expect(slowStartWeight(7, 0, 0)).toBe(7)
})

test(
  'it never falls with the age, and stays between a tenth and the whole',
  forEachSeed(200, (random) => {
    const weight = random.int(1, 10)
    const slowStartMs = random.int(1, 3_600_000)
    const ages = Array.from({ length: 50 }, () => random.random() * slowStartMs * 1.2)
    const weights = ages
      .toSorted((a, b) => a - b)
      .map((age) => slowStartWeight(weight, age, slowStartMs))
    expect(weights).toEqual(weights.toSorted((a, b) => a - b))
    for (const given of weights) {
      expect(given).toBeGreaterThanOrEqual(weight / 10)
      expect(given).toBeLessThanOrEqual(weight)
    }
  }),
)
