// What holds of every placement, for random workers and needs, each from its seed.

import { describe, expect, test } from 'vitest'
import { place } from '#ctld/deployer/place.ts'
import type { Seat } from '#ctld/deployer/seat.ts'
import { configOf } from '#test/helpers/cluster.ts'
import { formerlyPlaced } from '#test/helpers/former-place.ts'
import {
  needsFor,
  obviouslyPlaced,
  placesOf,
  randomNeeds,
  randomSeats,
} from '#test/helpers/seats.ts'
import { forEachSeed, type Random } from '#test/helpers/seeds.ts'

describe('properties by seed', () => {
  test(
    'chooses what one would choose who looks at every worker for every need',
    forEachSeed(500, (random) => {
      const { needs, seats, cursor } = randomWorld(random)
      const placed = place(needs, seats, cursor)
      const obvious = obviouslyPlaced(needs, seats, cursor)
      expect(placesOf(needs, placed)).toEqual(obvious.places)
      expect(placed.cursor).toBe(obvious.cursor)
    }),
  )

  test(
    'T03/M30: round robin without wishes chooses as it always did',
    forEachSeed(500, (random) => {
      const seats = randomSeats(random).map((seat) => ({ ...seat, size: undefined }))
      const cursor = random.chance(0.3) ? null : random.pick(seats).name
      const extra = random.pick([{}, { max_per_node: random.int(1, 3) }, { host_port: 'static' }])
      const avoid = new Map(
        seats.filter(() => random.chance(0.2)).map(({ name }) => [name, 'once'] as const),
      )
      const needs = ['a', 'b'].flatMap((name) =>
        needsFor(configOf(name, 1, extra), random.int(0, 25), avoid),
      )
      const placed = place(needs, seats, cursor)
      const former = formerlyPlaced(needs, seats, cursor)
      expect(placesOf(needs, placed)).toEqual(former.places)
      expect(placed.cursor).toBe(former.cursor)
    }),
  )

  test(
    'no worker gets what it may not have, nor more than it has',
    forEachSeed(500, (random) => {
      const { needs, seats, cursor } = randomWorld(random)
      const placed = place(needs, seats, cursor)
      expect(placed.placements.length + placed.unplaced.length).toBe(needs.length)
      for (const seat of seats) {
        const got = placed.placements.filter(({ node }) => node === seat.name)
        const needed = got.map(({ need }) => need)
        if (seat.closed !== undefined) expect(needed).toEqual([])
        if (needed.some(({ demand }) => demand.isLimited)) expect(seat.isolation).not.toBe('none')
        for (const need of needed) expectAllowed(seat, need)
        expectRoom(seat, needed)
      }
    }),
  )

  test(
    'what is left without a place is told why, and a higher priority never waits for a lower one',
    forEachSeed(500, (random) => {
      const { needs, seats, cursor } = randomWorld(random)
      const placed = place(needs, seats, cursor)
      for (const { need, why } of placed.unplaced) {
        expect(why).toMatch(/^w\d|^its data/)
        // With nothing of a lower priority there, it would have no place either.
        const above = needs.filter(({ demand }) => demand.priority >= need.demand.priority)
        const alone = place(above, seats, cursor)
        expect(alone.unplaced.map((one) => one.need)).toContain(need)
      }
    }),
  )

  test(
    'spread: no value of the label has two more than another that could take one',
    forEachSeed(500, (random) => {
      const seats = randomSeats(random).map((seat) => ({
        ...seat,
        ...{ size: undefined, closed: undefined, counts: new Map<string, number>() },
        labels: { zone: random.pick(['x', 'y', 'z']) },
      }))
      const config = configOf('s', 1, { placement: 'spread', spread: { label: 'zone' } })
      const placed = place(needsFor(config, random.int(0, 20)), seats, null)
      const zones = [...new Set(seats.map(({ labels }) => labels.zone))]
      const zoneOf = (node: string) => seats.find(({ name }) => name === node)?.labels.zone
      const counts = zones.map(
        (zone) => placed.placements.filter(({ node }) => zoneOf(node) === zone).length,
      )
      expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
    }),
  )
})

function randomWorld(random: Random) {
  const seats = randomSeats(random)
  const cursor = random.chance(0.3) ? null : random.pick(seats).name
  return { needs: randomNeeds(random), seats, cursor }
}

type Needed = ReturnType<typeof needsFor>[number]

function expectAllowed(seat: Seat, { demand, only }: Needed): void {
  if (only !== undefined) expect(seat.name).toBe(only)
  for (const { label, in: among, not_in } of demand.constraints) {
    const value = label === 'node' ? seat.name : seat.labels[label]
    if (among !== undefined) expect(among).toContain(value)
    if (not_in !== undefined) expect(not_in).not.toContain(value)
    if (among === undefined && not_in === undefined) expect(value).toBeDefined()
  }
}

function expectRoom(seat: Seat, needed: readonly Needed[]): void {
  const sum = (of: (need: Needed) => number) => needed.reduce((all, need) => all + of(need), 0)
  if (needed.some(({ demand }) => demand.memory > 0)) {
    const used = seat.memory + sum(({ demand }) => demand.memory)
    expect(used).toBeLessThanOrEqual(seat.size?.memory ?? 0)
  }
  if (needed.some(({ demand }) => demand.milliCpu > 0)) {
    const used = seat.milliCpu + sum(({ demand }) => demand.milliCpu)
    expect(used).toBeLessThanOrEqual((seat.size?.cores ?? 0) * 1_000)
  }
  const fixed = needed.filter(({ demand }) => demand.staticPort !== undefined)
  expect(fixed.length).toBeLessThanOrEqual(seat.ports.has(8_080) ? 0 : 1)
  for (const [service, own] of Map.groupBy(needed, (need) => need.service)) {
    const most = own[0]?.demand.maxPerNode ?? Number.POSITIVE_INFINITY
    expect((seat.counts.get(service) ?? 0) + own.length).toBeLessThanOrEqual(most)
  }
}
