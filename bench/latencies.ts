// Latencies in bounded memory: a histogram whose buckets grow with the value, so that each
// percentile is right to within 1 % however long the run is. The maximum is exact.

export type Summary = {
  count: number
  meanMs: number
  p50Ms: number
  p90Ms: number
  p99Ms: number
  p999Ms: number
  maxMs: number
}

/** Per doubling; 1/128 is the widest a bucket gets in relation to its value. */
const BUCKETS_PER_DOUBLING = 128
/** 2^36 µs: 19 hours. What takes longer counts as that long. */
const DOUBLINGS = 36

export type Latencies = { add(ms: number): void; summary(): Summary }

export function createLatencies(): Latencies {
  const buckets = new Uint32Array(BUCKETS_PER_DOUBLING * DOUBLINGS + 1)
  let count = 0
  let sumMs = 0
  let maxMs = 0

  /** Upper edge of the bucket in which the share `share` of all values is reached. */
  function percentile(share: number): number {
    let left = Math.ceil(share * count)
    let index = 0
    for (; left > (buckets[index] ?? 0) && index < buckets.length; index++) {
      left -= buckets[index] ?? 0
    }
    return round(Math.min(maxMs, edgeMs(index)))
  }

  return {
    add(ms) {
      const index = indexOf(ms)
      buckets[index] = (buckets[index] ?? 0) + 1
      count += 1
      sumMs += ms
      maxMs = Math.max(maxMs, ms)
    },
    summary: () => ({
      count,
      meanMs: count === 0 ? 0 : round(sumMs / count),
      p50Ms: percentile(0.5),
      p90Ms: percentile(0.9),
      p99Ms: percentile(0.99),
      p999Ms: percentile(0.999),
      maxMs: round(maxMs),
    }),
  }
}

function indexOf(ms: number): number {
  const index = Math.ceil(Math.log2(Math.max(1, ms * 1_000)) * BUCKETS_PER_DOUBLING)
  return Math.min(index, BUCKETS_PER_DOUBLING * DOUBLINGS)
}

function edgeMs(index: number): number {
  return 2 ** (index / BUCKETS_PER_DOUBLING) / 1_000
}

function round(ms: number): number {
  return Math.round(ms * 1_000) / 1_000
}
