// Decides what each instance weighs while two programs serve beside each other and the new one
// shall get a share of the requests that its number of instances does not give it. Pure.

const WHOLE = 100
/** A ring of hashes has points for each unit of weight: there the share is only nearly exact. */
const RING_WEIGHTS_SUM = 1_000

export type Weighed = { weight: number; isNew: boolean }

/**
 * Weights by which the new ones get exactly `percent` of 100 together, and within each group each
 * what it had of it. Whole numbers. As they are when one of the groups is empty.
 */
export function sharesOf(members: readonly Weighed[], percent: number): number[] {
  const sumOf = (isNew: boolean) =>
    members.reduce((sum, one) => sum + (one.isNew === isNew ? one.weight : 0), 0)
  const [fresh, former] = [sumOf(true), sumOf(false)]
  if (fresh === 0 || former === 0) return members.map(({ weight }) => weight)
  const weights = members.map(({ weight, isNew }) =>
    isNew ? weight * percent * former : weight * (WHOLE - percent) * fresh,
  )
  const divisor = weights.reduce(greatestDivisor, 0)
  return weights.map((weight) => weight / divisor)
}

/** The same for a ring of hashes, where a thousandth is as fine as it gets. */
export function ringSharesOf(members: readonly Weighed[], percent: number): number[] {
  const exact = sharesOf(members, percent)
  const sum = exact.reduce((total, weight) => total + weight, 0)
  return exact.map((weight) => Math.max(1, Math.round((weight * RING_WEIGHTS_SUM) / sum)))
}

function greatestDivisor(a: number, b: number): number {
  let [one, other] = [a, b]
  while (other !== 0) [one, other] = [other, one % other]
  return one
}
