// One case under load: a quiet part before, changes until enough requests were seen, a quiet part
// after. A change is always finished, however many requests that makes.

import type { RealCluster } from '#test/helpers/real-cluster.ts'
import type { Case } from './cases.ts'
import { type Seen, startTraffic } from './traffic.ts'

export type CaseResult = Seen & { case: string; changes: number }

/** Of all requests of a case, each: before the first change and after the last one. */
const QUIET_SHARE = 0.2
const CONNECTIONS = 16
const BODY = Buffer.from('served\n')

export async function runCase(
  cluster: RealCluster,
  one: Case,
  size: { requests: number; rate: number },
): Promise<CaseResult> {
  const { change } = await one.begin(cluster)
  const traffic = await startTraffic({
    port: cluster.ports.balancer,
    host: 'steady',
    body: BODY,
    rate: size.rate,
    connections: CONNECTIONS,
  })
  const quiet = Math.ceil(size.requests * QUIET_SHARE)
  let changes = 0
  try {
    await traffic.reach(quiet)
    traffic.phase('during')
    do {
      changes += 1
      await change(changes)
    } while (traffic.requests() < size.requests - quiet)
    traffic.phase('after')
    await traffic.reach(Math.max(size.requests, traffic.requests() + quiet))
  } catch (error) {
    await traffic.stop()
    throw new Error(`${one.name}: ${(error as Error).message}`, { cause: error })
  }
  return { case: one.name, changes, ...(await traffic.stop()) }
}
