// What a canary's instances weigh against the others (Q10), and what the table makes of it.

import { expect, test } from 'vitest'
import { ringSharesOf, sharesOf } from '#ctld/balancer/shares.ts'
import { routeTable } from '#ctld/balancer/table.ts'
import { forEachSeed } from '#test/helpers/seeds.ts'
import { aNode, anInstance, aService } from './world.ts'

test('the new group gets exactly its share, whatever its members weigh', () => {
  const members = [
    { weight: 10, isNew: true },
    { weight: 10, isNew: false },
    { weight: 5, isNew: false },
    { weight: 3, isNew: false },
  ]
  expect(sharesOf(members, 10)).toEqual([2, 10, 5, 3])
})

test(
  'by seed: exact in sum, and in the same proportions within each group',
  forEachSeed(300, (random) => {
    const members = Array.from({ length: random.int(2, 12) }, (_, at) => ({
      weight: random.int(1, 10),
      isNew: at === 0 || (at > 1 && random.chance(0.3)),
    }))
    const percent = random.int(1, 99)
    const shares = sharesOf(members, percent)
    const sumOf = (list: readonly number[]) => list.reduce((sum, one) => sum + one, 0)
    const fresh = sumOf(shares.filter((_, at) => members[at]?.isNew))
    expect(fresh * 100).toBe(percent * sumOf(shares))
    for (const isNew of [true, false]) {
      const group = members.flatMap((one, at) => (one.isNew === isNew ? [{ one, at }] : []))
      const ratios = group.map(({ one, at }) => (shares[at] ?? 0) / one.weight)
      for (const ratio of ratios) expect(ratio).toBeCloseTo(ratios[0] ?? 0, 9)
    }
    for (const share of shares) expect(Number.isInteger(share)).toBe(true)
    const ring = ringSharesOf(members, percent)
    expect(sumOf(ring)).toBeLessThanOrEqual(1_000 + members.length)
    for (const share of ring) expect(share).toBeGreaterThanOrEqual(1)
  }),
)

test('with one group alone nothing is changed', () => {
  expect(sharesOf([{ weight: 7, isNew: true }], 10)).toEqual([7])
})

test('a canary goes by weights, with every rule but hash; without one the rule is its own', () => {
  const rollout = { since: 0, step: 0, percent: 10 }
  const update = { revision: 2, programRevision: 2 }
  const instances = [anInstance('i1', 'api'), anInstance('i2', 'api', { revision: 2 })]
  const routeOf = (balance: 'least_request' | 'hash', more: object) => {
    const service = aService('api', { balance }, { ...update, ...more })
    return routeTable([service], instances, [aNode('w1')], 1).routes[0]
  }
  expect(routeOf('least_request', { rollout })).toMatchObject({
    balance: 'weighted_round_robin',
    targets: [
      { instance: 'i1', weight: 9 },
      { instance: 'i2', weight: 1 },
    ],
  })
  expect(routeOf('hash', { rollout })).toMatchObject({
    balance: 'hash',
    targets: [{ weight: 900 }, { weight: 100 }],
  })
  for (const more of [{}, { rollout: { ...rollout, percent: 100 } }]) {
    expect(routeOf('least_request', more)).toMatchObject({
      balance: 'least_request',
      targets: [{ weight: 10 }, { weight: 10 }],
    })
  }
})
