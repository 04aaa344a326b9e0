// Consistent hashing (ketama): every instance owns points on a ring, as many as its weight says; a
// key belongs to the next point. An instance that comes or goes moves its own keys and no others.

import { hash32, mix32 } from './hashing.ts'

export type Ring = {
  /** Sorted. */
  points: Uint32Array
  /** Position in the list of the one whose point it is. */
  owners: Uint16Array
  /** What it was made of: a list with the same has the same ring. */
  instances: readonly string[]
  weights: readonly number[]
}

export const POINTS_PER_WEIGHT = 160
/**
 * Above 20 instances of full weight each gets fewer points: a ring is made by the first request
 * after a change of weights, and nobody shall wait for that longer than a few milliseconds.
 */
export const RING_POINTS_MAX = 32_768

/** Odd, and far from any pattern: 2^32 divided by the golden ratio. */
const STRIDE = 0x9e3779b1
const OWNERS_MAX = 65_536

type Member = { instance: string; weight: number }

export function createRing(members: readonly Member[]): Ring {
  const perWeight = pointsPerWeight(members)
  const total = members.reduce((sum, { weight }) => sum + weight * perWeight, 0)
  // Point and owner in one number (48 bits), so that a plain numeric sort orders both.
  const sorted = new Float64Array(total)
  let count = 0
  for (const [owner, { instance, weight }] of members.entries()) {
    const [start, salt] = [hash32(instance), hash32(instance, STRIDE)]
    // The first points are the same whatever the weight is: a new weight moves few keys.
    for (let index = 0; index < weight * perWeight; index += 1) {
      const point = mix32(mix32(start + Math.imul(index, STRIDE)) ^ salt)
      sorted[count] = point * OWNERS_MAX + owner
      count += 1
    }
  }
  sorted.sort()
  const points = new Uint32Array(total)
  const owners = new Uint16Array(total)
  for (let at = 0; at < total; at += 1) {
    const both = sorted[at] as number
    points[at] = both / OWNERS_MAX
    owners[at] = both % OWNERS_MAX
  }
  return {
    points,
    owners,
    instances: members.map(({ instance }) => instance),
    weights: members.map(({ weight }) => weight),
  }
}

export function isRingOf({ instances, weights }: Ring, members: readonly Member[]): boolean {
  return (
    instances.length === members.length &&
    members.every(({ instance, weight }, at) => {
      return instance === instances[at] && weight === weights[at]
    })
  )
}

/** Position on the ring of the point that the key belongs to. */
export function pointFor({ points }: Ring, key: string): number {
  const hash = hash32(key)
  let low = 0
  let high = points.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((points[middle] as number) < hash) low = middle + 1
    else high = middle
  }
  return low === points.length ? 0 : low
}

// Halved, never a little less: another instance more seldom moves the keys of all.
function pointsPerWeight(members: readonly Member[]): number {
  const weights = members.reduce((sum, { weight }) => sum + weight, 0)
  let points = POINTS_PER_WEIGHT
  while (points > 1 && weights * points > RING_POINTS_MAX) points = Math.floor(points / 2)
  return points
}
