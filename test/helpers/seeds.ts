// Property tests by seed: the seed of a failure stands in its message, and SEED=n replays it alone.

export type Random = {
  /** [0, 1) */
  random(): number
  /** A whole number in [from, to]. */
  int(from: number, to: number): number
  chance(share: number): boolean
  pick<T>(list: readonly T[]): T
  shuffle<T>(list: readonly T[]): T[]
}

/** A small generator with 32 bits of state (mulberry32): the same seed, the same history. */
export function randomOf(seed: number): Random {
  let state = seed >>> 0
  const random = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
  const int = (from: number, to: number) => from + Math.floor(random() * (to - from + 1))
  return {
    random,
    int,
    chance: (share) => random() < share,
    pick(list) {
      if (list.length === 0) throw new Error('nothing to pick from')
      return list[int(0, list.length - 1)] as (typeof list)[number]
    },
    shuffle(list) {
      const shuffled = [...list]
      for (let last = shuffled.length - 1; last > 0; last -= 1) {
        const other = int(0, last)
        const held = shuffled[last]
        const moved = shuffled[other]
        if (held === undefined || moved === undefined) continue
        shuffled[last] = moved
        shuffled[other] = held
      }
      return shuffled
    },
  }
}

export function forEachSeed(count: number, check: (random: Random, seed: number) => void) {
  return () => {
    const only = process.env.SEED === undefined ? undefined : Number(process.env.SEED)
    const seeds = only === undefined ? Array.from({ length: count }, (_, index) => index) : [only]
    for (const seed of seeds) {
      try {
        check(randomOf(seed), seed)
      } catch (cause) {
        throw new Error(`seed ${seed} (SEED=${seed} replays it): ${String(cause)}`, { cause })
      }
    }
  }
}
