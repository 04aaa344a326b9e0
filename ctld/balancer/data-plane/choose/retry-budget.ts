// Decides whether a request may be tried once more: at most a fifth of the requests of the last
// ten seconds are retries. When everything fails, retries would else double the load on what is
// left.

const BUCKET_MS = 1_000
const BUCKETS = 10
/** Of the requests within the window. */
export const RETRIES_SHARE = 0.2
/** Within the window, however few requests there are. */
export const RETRIES_MIN = 10

/** One for each service. Times are those of the monotonic clock. */
export type RetryBudget = {
  /** A request came. */
  request(now: number): void
  /** True: the retry is counted and may be made. */
  mayRetry(now: number): boolean
}

export function createRetryBudget(): RetryBudget {
  const requests = new Uint32Array(BUCKETS)
  const retries = new Uint32Array(BUCKETS)
  let requestCount = 0
  let retryCount = 0
  /** Number of the second that the newest bucket stands for. */
  let newest = Number.NEGATIVE_INFINITY

  /** The bucket of this moment; those that left the window are empty again. */
  function bucketAt(now: number): number {
    const second = Math.floor(now / BUCKET_MS)
    if (second <= newest) return indexOf(newest)
    const first = Math.max(newest + 1, second - BUCKETS + 1)
    for (let gone = first; gone <= second; gone += 1) {
      const bucket = indexOf(gone)
      requestCount -= requests[bucket] as number
      retryCount -= retries[bucket] as number
      requests[bucket] = 0
      retries[bucket] = 0
    }
    newest = second
    return indexOf(second)
  }

  return {
    request(now) {
      const bucket = bucketAt(now)
      requests[bucket] = (requests[bucket] as number) + 1
      requestCount += 1
    },
    mayRetry(now) {
      const bucket = bucketAt(now)
      if (retryCount >= Math.max(RETRIES_MIN, Math.floor(requestCount * RETRIES_SHARE))) {
        return false
      }
      retries[bucket] = (retries[bucket] as number) + 1
      retryCount += 1
      return true
    },
  }
}

function indexOf(second: number): number {
  return ((second % BUCKETS) + BUCKETS) % BUCKETS
}
