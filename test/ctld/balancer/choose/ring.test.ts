import { describe, expect, test } from 'vitest'
import {
  createRing,
  isRingOf,
  pointFor,
  RING_POINTS_MAX,
  type Ring,
} from '#ctld/balancer/data-plane/choose/ring.ts'
import { forEachSeed, type Random } from '#test/helpers/seeds.ts'

type Member = { instance: string; weight: number }

const KEYS = 20_000
const keys = Array.from({ length: KEYS }, (_, n) => `client-${n}`)
const idOf = (random: Random) =>
  `019a${random.int(0, 0xffffffff).toString(16)}-${random.int(0, 0xffff).toString(16)}`

const members = (random: Random, count: number, weight: () => number): Member[] =>
  Array.from({ length: count }, () => ({ instance: idOf(random), weight: weight() }))

const ownerOf = (ring: Ring, key: string) =>
  ring.instances[ring.owners[pointFor(ring, key)] as number]

describe('a ring', () => {
  test(
    'has 160 points for each unit of weight, in order',
    forEachSeed(20, (random) => {
      const list = members(random, random.int(1, 6), () => random.int(1, 10))
      const ring = createRing(list)
      for (const [at, { weight }] of list.entries()) {
        expect(ring.owners.filter((owner) => owner === at)).toHaveLength(160 * weight)
      }
      expect(ring.points).toEqual(ring.points.toSorted())
    }),
  )

  test(
    'spreads keys by weight: nobody gets a fifth more or less than its share',
    forEachSeed(40, (random) => {
      const list = members(random, random.int(2, 6), () => random.int(2, 10))
      const ring = createRing(list)
      const counts = new Map<string | undefined, number>()
      for (const key of keys) {
        const owner = ownerOf(ring, key)
        counts.set(owner, (counts.get(owner) ?? 0) + 1)
      }
      const sum = list.reduce((total, { weight }) => total + weight, 0)
      for (const { instance, weight } of list) {
        const share = (KEYS * weight) / sum
        expect((counts.get(instance) ?? 0) / share).toBeGreaterThan(0.8)
        expect((counts.get(instance) ?? 0) / share).toBeLessThan(1.2)
      }
    }),
  )

  test(
    'an instance that leaves moves its own keys only, one that comes takes only what becomes its',
    forEachSeed(20, (random) => {
      const list = members(random, random.int(2, 6), () => random.int(1, 10))
      const gone = random.pick(list)
      const all = createRing(list)
      const rest = createRing(list.filter((member) => member !== gone))
      const moved = keys.filter((key) => ownerOf(all, key) !== ownerOf(rest, key))
      expect(moved).toEqual(keys.filter((key) => ownerOf(all, key) === gone.instance))
    }),
  )

  test(
    'a weight that rises takes keys from others and moves none between them',
    forEachSeed(20, (random) => {
      const list = members(random, random.int(2, 6), () => random.int(1, 9))
      const riser = random.pick(list)
      const before = createRing(list)
      const after = createRing(
        list.map((member) =>
          member === riser ? { ...member, weight: member.weight + 1 } : member,
        ),
      )
      const moved = keys.filter((key) => ownerOf(before, key) !== ownerOf(after, key))
      for (const key of moved) expect(ownerOf(after, key)).toBe(riser.instance)
      expect(moved.length).toBeGreaterThan(0)
    }),
  )

  test('stays small with many instances, and everybody is on it', () => {
    const many = Array.from({ length: 1_000 }, (_, n) => ({ instance: `i${n}`, weight: 10 }))
    const ring = createRing(many)
    expect(ring.points.length).toBeLessThanOrEqual(RING_POINTS_MAX)
    expect(new Set(ring.owners).size).toBe(1_000)
  })

  test('belongs to the list that it was made of', () => {
    const list = [
      { instance: 'a', weight: 1 },
      { instance: 'b', weight: 2 },
    ]
    const ring = createRing(list)
    expect(isRingOf(ring, structuredClone(list))).toBe(true)
    expect(isRingOf(ring, list.slice(1))).toBe(false)
    expect(
      isRingOf(ring, [
        { instance: 'a', weight: 1 },
        { instance: 'b', weight: 3 },
      ]),
    ).toBe(false)
    expect(
      isRingOf(ring, [
        { instance: 'a', weight: 1 },
        { instance: 'c', weight: 2 },
      ]),
    ).toBe(false)
  })

  test('finds the next point of a key, around the end too', () => {
    const list = [{ instance: 'a', weight: 1 }]
    const ring = { ...createRing(list), points: Uint32Array.from([7, 1_000]) }
    const found = keys.map((key) => pointFor(ring, key))
    // Nearly all hashes lie above 1,000: behind the last point comes the first.
    expect(found.filter((point) => point === 0).length).toBeGreaterThan(KEYS * 0.999)
  })
})
