// Splits a number into its prime factors by trial division, in steps of a bounded length: who
// calls decides when to stop. Trial division on purpose, not the cleverest method: the service
// is a workload whose cost grows with the number.
//
// The hot loops use floating-point numbers only, because a BigInt division takes ten times as
// long. A remainder below 2^53 is exact as it is; a longer one is cut into limbs so short that
// every intermediate product stays exact.

/** How far a factorisation has come. It may be handed from thread to thread between steps. */
export type Progress = {
  /** What is not yet split: has no prime factor below `block`. 1: done. */
  rest: bigint
  /** The next 30 numbers to look at start here; a multiple of 30. */
  block: number
  /** Prime factors found, ascending, with multiplicity. */
  factors: bigint[]
}

/** Numbers of each 30 that are not divisible by 2, 3 or 5, shifted so that 1 is never tried. */
const WHEEL = [7, 11, 13, 17, 19, 23, 29, 31]
const WHEEL_SIZE = 30
const LIMB_BITS_MAX = 25
/** Bits of divisor × 2^limb: two below the 53 that are exact, as a remainder is in [-d, 2d). */
const PRODUCT_BITS = 51

/** Ready for `advance`; the small primes of the wheel are already out. `number` is at least 1. */
export function begin(number: bigint): Progress {
  const progress: Progress = { rest: number, block: 0, factors: [] }
  for (const prime of [2n, 3n, 5n]) divideOut(progress, prime)
  return progress
}

/** Looks at up to `blocks` × 30 further divisors. True: done, `factors` is complete. */
export function advance(progress: Progress, blocks: number): boolean {
  const stop = progress.block + blocks * WHEEL_SIZE
  while (progress.block < Math.min(stop, rootOf(progress.rest))) {
    search(progress, Math.min(stop, rootOf(progress.rest)))
  }
  if (progress.block < rootOf(progress.rest)) return false
  if (progress.rest > 1n) progress.factors.push(progress.rest)
  progress.rest = 1n
  return true
}

/** At least the square root: one too many costs a divisor, one too few would lose a factor. */
function rootOf(rest: bigint): number {
  return Math.ceil(Math.sqrt(Number(rest))) + 1
}

/** Takes out the first prime factor from `block` on, or moves `block` to `end` or just above. */
function search(progress: Progress, end: number): void {
  const { rest, block } = progress
  const divisor =
    rest <= Number.MAX_SAFE_INTEGER
      ? findInShort(Number(rest), block, end)
      : findInLong(rest, block, end)
  if (divisor === 0) {
    progress.block = block + Math.ceil((end - block) / WHEEL_SIZE) * WHEEL_SIZE
    return
  }
  progress.block = divisor - ((divisor - 2) % WHEEL_SIZE) - 2
  divideOut(progress, BigInt(divisor))
}

function divideOut(progress: Progress, prime: bigint): void {
  while (progress.rest % prime === 0n) {
    progress.rest /= prime
    progress.factors.push(prime)
  }
}

/** The first divisor of `rest` in the blocks from `from` to before `end`; 0: there is none. */
function findInShort(rest: number, from: number, end: number): number {
  for (let block = from; block < end; block += WHEEL_SIZE) {
    for (let spoke = 0; spoke < WHEEL.length; spoke++) {
      const divisor = block + (WHEEL[spoke] as number)
      if (rest === Math.floor(rest / divisor) * divisor) return divisor
    }
  }
  return 0
}

/** As `findInShort`, for a `rest` that no floating-point number holds: digit by digit. */
function findInLong(rest: bigint, from: number, end: number): number {
  const bits = limbBits(end + WHEEL_SIZE)
  const [head, ...tail] = limbsOf(rest, bits)
  const base = 2 ** bits
  for (let block = from; block < end; block += WHEEL_SIZE) {
    for (let spoke = 0; spoke < WHEEL.length; spoke++) {
      const divisor = block + (WHEEL[spoke] as number)
      const inverse = 1 / divisor
      let left = head as number
      for (let index = 0; index < tail.length; index++) {
        left = left * base + (tail[index] as number)
        // The product with the inverse may be off by one, so `left` is only known modulo divisor.
        left -= Math.floor(left * inverse) * divisor
      }
      if (left === 0 || left === divisor || left === -divisor) return divisor
    }
  }
  return 0
}

function limbBits(divisorMax: number): number {
  return Math.min(LIMB_BITS_MAX, PRODUCT_BITS - Math.ceil(Math.log2(divisorMax + 1)))
}

/** Highest first. */
function limbsOf(rest: bigint, bits: number): number[] {
  const limbs: number[] = []
  for (let left = rest; left > 0n; left >>= BigInt(bits)) {
    limbs.unshift(Number(left & ((1n << BigInt(bits)) - 1n)))
  }
  return limbs
}
