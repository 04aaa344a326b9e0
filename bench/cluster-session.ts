// A cluster for the time of a measurement: whatever ends it (the work is done, an error, Ctrl-C),
// all that was started for it ends, too.

import { type ClusterOptions, type RealCluster, startCluster } from '#test/helpers/real-cluster.ts'

const SIGNALS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const

/** The daemons run with the flags of a release and at its log level, info. */
export async function withCluster<T>(
  options: ClusterOptions,
  work: (cluster: RealCluster) => Promise<T>,
): Promise<T> {
  const starting = startCluster({ ...options, asReleased: true })
  const stop = async (signal: keyof typeof SIGNALS) => {
    console.error(`${signal}: ending what was started`)
    try {
      await (await starting)[Symbol.asyncDispose]()
    } finally {
      process.exit(SIGNALS[signal])
    }
  }
  const signals = Object.keys(SIGNALS) as (keyof typeof SIGNALS)[]
  for (const signal of signals) process.once(signal, stop)
  try {
    await using cluster = await starting
    return await work(cluster)
  } finally {
    for (const signal of signals) process.off(signal, stop)
  }
}
