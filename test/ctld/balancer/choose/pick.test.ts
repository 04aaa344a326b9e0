import { describe, expect, test } from 'vitest'
import {
  type Candidate,
  type Circumstances,
  carryOver,
  newPickState,
  pick,
} from '#ctld/balancer/data-plane/choose/pick.ts'
import type { BalanceRule } from '#shared/configuration.ts'
import { forEachSeed, type Random, randomOf } from '#test/helpers/seeds.ts'

const calm: Circumstances<Candidate> = {
  isExcluded: () => false,
  inFlight: () => 0,
  random: () => 0,
}

const candidates = (...weights: number[]): Candidate[] =>
  weights.map((weight, at) => ({ instance: `i${at}`, weight }))

function randomCandidates(random: Random): Candidate[] {
  return candidates(...Array.from({ length: random.int(1, 8) }, () => random.int(1, 10)))
}

describe('weighted round robin', () => {
  test('Q10: spreads each share evenly over the cycle', () => {
    const state = newPickState()
    const list = candidates(5, 1, 1)
    const order = Array.from(
      { length: 7 },
      () => pick('weighted_round_robin', list, state, calm)?.instance,
    )
    expect(order).toEqual(['i0', 'i0', 'i1', 'i0', 'i2', 'i0', 'i0'])
  })

  test(
    'T06: in every cycle the share of requests is the share of the weight, within 1',
    forEachSeed(300, (random) => {
      const list = randomCandidates(random)
      const cycle = list.reduce((sum, { weight }) => sum + weight, 0)
      const state = newPickState()
      for (let skipped = random.int(0, cycle - 1); skipped > 0; skipped -= 1) {
        pick('weighted_round_robin', list, state, calm)
      }
      const counts = new Map<string, number>()
      for (let turn = 0; turn < cycle; turn += 1) {
        const chosen = pick('weighted_round_robin', list, state, calm)?.instance ?? ''
        counts.set(chosen, (counts.get(chosen) ?? 0) + 1)
      }
      for (const { instance, weight } of list) {
        expect(Math.abs((counts.get(instance) ?? 0) - weight)).toBeLessThanOrEqual(1)
      }
    }),
  )

  test(
    'T06: a whole cycle from the start gives each exactly its weight, and then begins anew',
    forEachSeed(300, (random) => {
      const list = randomCandidates(random)
      const cycle = list.reduce((sum, { weight }) => sum + weight, 0)
      const state = newPickState()
      const turns = (count: number) =>
        Array.from({ length: count }, () => pick('weighted_round_robin', list, state, calm))
      const first = turns(cycle)
      for (const candidate of list) {
        expect(first.filter((chosen) => chosen === candidate)).toHaveLength(candidate.weight)
      }
      expect(turns(cycle)).toEqual(first)
    }),
  )

  test('T06: a node whose weight falls gets fewer requests from then on', () => {
    const before = candidates(10, 10)
    const state = newPickState()
    for (let turn = 0; turn < 13; turn += 1) pick('weighted_round_robin', before, state, calm)
    const after = candidates(2, 10)
    const next = carryOver(state, after)
    let first = 0
    for (let turn = 0; turn < 120; turn += 1) {
      if (pick('weighted_round_robin', after, next, calm)?.instance === 'i0') first += 1
    }
    expect(first).toBeGreaterThanOrEqual(19)
    expect(first).toBeLessThanOrEqual(21)
  })

  test(
    'a new table does not start the turns afresh, and nobody gets a long run to catch up',
    forEachSeed(300, (random) => {
      const list = candidates(10, 10, 10)
      const state = newPickState()
      for (let turn = random.int(1, 30); turn > 0; turn -= 1) {
        pick('weighted_round_robin', list, state, calm)
      }
      const { current, turn } = carryOver(state, list)
      expect([current, turn]).toEqual([state.current, state.turn])
      const light = candidates(1, 1, 1)
      const carried = carryOver(state, light)
      const runs = Array.from(
        { length: 12 },
        () => pick('weighted_round_robin', light, carried, calm)?.instance,
      )
      for (const { instance } of light) expect(runs).toContain(instance)
    }),
  )
})

describe('the other rules', () => {
  test('round robin takes each in turn, also over a change of the list', () => {
    const state = newPickState()
    const order = (list: Candidate[], count: number) =>
      Array.from({ length: count }, () => pick('round_robin', list, state, calm)?.instance)
    expect(order(candidates(1, 9, 1), 4)).toEqual(['i0', 'i1', 'i2', 'i0'])
    const next = carryOver(state, candidates(1, 1))
    expect(pick('round_robin', candidates(1, 1), next, calm)?.instance).toBe('i1')
  })

  test('least loaded takes the fewest requests under way for the weight, and spreads ties', () => {
    const list = candidates(10, 5, 5)
    const loads = new Map([
      ['i0', 4],
      ['i1', 1],
      ['i2', 3],
    ])
    const busy = { ...calm, inFlight: ({ instance }: Candidate) => loads.get(instance) ?? 0 }
    expect(pick('least_loaded', list, newPickState(), busy)?.instance).toBe('i1')
    const state = newPickState()
    const idle = Array.from({ length: 4 }, () => pick('least_loaded', list, state, calm)?.instance)
    expect(idle.toSorted()).toEqual(['i0', 'i0', 'i1', 'i2'])
  })

  test('p2c takes the less loaded of two different ones', () => {
    const random = randomOf(1)
    const list = candidates(1, 1, 1)
    const heavy = ({ instance }: Candidate) => (instance === 'i1' ? 100 : 0)
    const seen = { ...calm, inFlight: heavy, random: random.random }
    const chosen = Array.from(
      { length: 200 },
      () => pick('p2c', list, newPickState(), seen)?.instance,
    )
    expect(new Set(chosen)).toEqual(new Set(['i0', 'i2']))
  })

  test(
    'least request never chooses one with more under way for its weight than another who is free',
    forEachSeed(300, (random) => {
      const list = randomCandidates(random)
      const underWay = new Map(list.map(({ instance }) => [instance, 0]))
      const loadOf = ({ instance, weight }: Candidate) => (underWay.get(instance) ?? 0) / weight
      let excluded = new Set<Candidate>()
      const seen: Circumstances<Candidate> = {
        isExcluded: (candidate) => excluded.has(candidate),
        inFlight: ({ instance }) => underWay.get(instance) ?? 0,
        random: random.random,
      }
      const state = newPickState()
      const rule = random.pick<BalanceRule>(['least_request', 'least_loaded', 'hash'])
      for (let turn = 0; turn < 200; turn += 1) {
        excluded = new Set(list.filter(() => random.chance(0.2)))
        const free = list.filter((candidate) => !excluded.has(candidate))
        const chosen = pick(rule, list, state, seen)
        if (chosen === undefined) {
          expect(free).toEqual([])
          continue
        }
        expect(loadOf(chosen)).toBe(Math.min(...free.map(loadOf)))
        underWay.set(chosen.instance, (underWay.get(chosen.instance) ?? 0) + 1)
        const done = random.pick(list).instance
        underWay.set(done, Math.max(0, (underWay.get(done) ?? 0) - random.int(0, 2)))
      }
    }),
  )

  test(
    'an older name of least request means the same',
    forEachSeed(50, (random, seed) => {
      const list = randomCandidates(random)
      const orderOf = (rule: BalanceRule) => {
        const dice = randomOf(seed)
        const state = newPickState()
        const seen = { ...calm, inFlight: () => dice.int(0, 2) }
        return Array.from({ length: 50 }, () => pick(rule, list, state, seen)?.instance)
      }
      expect(orderOf('least_loaded')).toEqual(orderOf('least_request'))
    }),
  )

  test('a weight of the moment counts instead of the weight, also a broken one', () => {
    const list = candidates(10, 10)
    const weightOf = ({ instance }: Candidate) => (instance === 'i0' ? 2.5 : 10)
    const share = (rule: BalanceRule, inFlight: (candidate: Candidate) => number) => {
      const state = newPickState()
      const seen = { ...calm, inFlight, weightOf, random: randomOf(1).random }
      const order = Array.from({ length: 100 }, () => pick(rule, list, state, seen)?.instance)
      return order.filter((instance) => instance === 'i0').length
    }
    expect(share('weighted_round_robin', () => 0)).toBe(20)
    expect(share('round_robin', () => 0)).toBe(50)
    expect(share('least_request', ({ instance }) => (instance === 'i0' ? 1 : 3))).toBe(0)
    expect(share('p2c', ({ instance }) => (instance === 'i0' ? 1 : 3))).toBe(0)
    expect(share('p2c', ({ instance }) => (instance === 'i0' ? 1 : 5))).toBe(100)
  })

  test('a list that nobody carried over is taken as it is', () => {
    const state = newPickState()
    expect(pick('round_robin', candidates(1, 1, 1), state, calm)?.instance).toBe('i0')
    expect(pick('round_robin', candidates(1, 1, 1), state, calm)?.instance).toBe('i1')
    expect(pick('round_robin', candidates(1, 1), state, calm)?.instance).toBe('i0')
    expect(pick('weighted_round_robin', [], state, calm)).toBeUndefined()
    expect(pick('hash', [], state, calm, 'key')).toBeUndefined()
  })

  test('the turn goes on behind an instance that is gone', () => {
    const state = newPickState()
    const [i0, i1, i2] = candidates(1, 1, 1) as [Candidate, Candidate, Candidate]
    const all = [i0, i1, i2]
    pick('round_robin', all, state, calm)
    pick('round_robin', all, state, calm)
    expect(pick('round_robin', [i0, i2], state, calm)?.instance).toBe('i2')
    expect(pick('round_robin', [i0, i1], state, calm)?.instance).toBe('i0')
  })

  test(
    'every rule chooses somebody who is not excluded, if there is one',
    forEachSeed(500, (random) => {
      const list = randomCandidates(random)
      const excluded = new Set(list.filter(() => random.chance(0.5)))
      const rule = random.pick<BalanceRule>([
        'weighted_round_robin',
        'round_robin',
        'least_request',
        'p2c',
        'hash',
      ])
      const key = random.chance(0.8) ? String(random.int(0, 1_000)) : undefined
      const seen: Circumstances<Candidate> = {
        isExcluded: (candidate) => excluded.has(candidate),
        inFlight: () => random.int(0, 4),
        random: random.random,
      }
      const state = newPickState()
      for (let turn = 0; turn < 20; turn += 1) {
        const chosen = pick(rule, list, state, seen, key)
        if (chosen === undefined) expect(excluded.size).toBe(list.length)
        else expect(excluded.has(chosen)).toBe(false)
      }
    }),
  )
})

describe('hash', () => {
  const keys = Array.from({ length: 2_000 }, (_, n) => `10.1.${n >> 8}.${n & 255}`)
  const ownersOf = (list: readonly Candidate[], seen = calm) => {
    const state = newPickState()
    return new Map(keys.map((key) => [key, pick('hash', list, state, seen, key)?.instance]))
  }

  test('a key leads to the same instance, in every loop and whoever came before', () => {
    const list = candidates(3, 5, 2)
    const owners = ownersOf(list)
    expect(ownersOf([...list])).toEqual(owners)
    expect(new Set(owners.values())).toEqual(new Set(['i0', 'i1', 'i2']))
  })

  test(
    'an excluded instance gives up its own keys alone, as if it had left; then it has them again',
    forEachSeed(20, (random) => {
      const list = randomCandidates(random)
      const out = random.pick(list)
      const before = ownersOf(list)
      const during = ownersOf(list, { ...calm, isExcluded: (candidate) => candidate === out })
      const without = list.filter((candidate) => candidate !== out)
      for (const [key, owner] of before) {
        if (owner !== out.instance) expect(during.get(key)).toBe(owner)
      }
      expect(during).toEqual(ownersOf(without))
      expect(ownersOf(list)).toEqual(before)
    }),
  )

  test('the ring is made once for a list, and anew when a weight changes in it', () => {
    const list = candidates(1, 1)
    const state = newPickState()
    pick('hash', list, state, calm, 'key')
    const { ring } = state
    expect(ring).toBeDefined()
    expect(carryOver(state, [...list]).ring).toBe(ring)
    // The engine's objects stay, their weights change.
    for (const candidate of list) candidate.weight = 2
    expect(carryOver(state, [...list]).ring).toBeUndefined()
    expect(carryOver(state, candidates(1)).ring).toBeUndefined()
  })
})
