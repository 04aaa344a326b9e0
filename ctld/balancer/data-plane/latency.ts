// How long an instance takes to answer, in buckets so fine that a p99 read from them is true within
// 5 %: 32 to each doubling, as HDR histograms do it. To count one is one increment of an array.

const SUB_BITS = 5
const SUB = 1 << SUB_BITS
/** 2^27 µs are two minutes and more: what takes longer counts as that. */
const OCTAVES = 27 - SUB_BITS + 1
export const LATENCY_BUCKETS = OCTAVES * SUB
const US_MAX = 2 ** 27 - 1

/** By bucket; those without a count are left out, so that it is short on the wire. */
export type Latencies = Record<string, number>

export function newBuckets(): Uint32Array {
  return new Uint32Array(LATENCY_BUCKETS)
}

/** `us`: microseconds, 0 or more. */
export function bucketOf(us: number): number {
  const whole = us < US_MAX ? us | 0 : US_MAX
  if (whole < SUB) return whole
  const octave = 31 - Math.clz32(whole)
  return ((octave - SUB_BITS + 1) << SUB_BITS) + ((whole >>> (octave - SUB_BITS)) & (SUB - 1))
}

/** The least number of microseconds that falls into the bucket. */
export function floorOf(bucket: number): number {
  if (bucket < SUB) return bucket
  const octave = (bucket >>> SUB_BITS) + SUB_BITS - 1
  return (SUB + (bucket & (SUB - 1))) * 2 ** (octave - SUB_BITS)
}

export function latenciesOf(buckets: Uint32Array): Latencies {
  const latencies: Latencies = {}
  for (const [bucket, count] of buckets.entries()) if (count > 0) latencies[bucket] = count
  return latencies
}

export function countOf(latencies: Latencies): number {
  let sum = 0
  for (const count of Object.values(latencies)) sum += count
  return sum
}

/** Microseconds, spread evenly within a bucket; null: nothing was counted. `share`: 0..1. */
export function latencyAt(latencies: Latencies, share: number): number | null {
  const wanted = share * countOf(latencies)
  let below = 0
  // Keys that are whole numbers come in their order.
  for (const [key, count] of Object.entries(latencies)) {
    if (count > 0 && below + count >= wanted) {
      const from = floorOf(Number(key))
      return from + ((floorOf(Number(key) + 1) - from) * (wanted - below)) / count
    }
    below += count
  }
  return null
}
