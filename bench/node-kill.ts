// One node dies in the middle of a load: its agent and all its programs are killed with SIGKILL at
// once. Reports what clients saw of it, and when the cluster had its instances again.

import { performance } from 'node:perf_hooks'
import type { RealCluster } from '#test/helpers/real-cluster.ts'
import { programsOf } from '#test/helpers/real-cluster.ts'
import { createTally, type Figure, loadInto } from './figures.ts'
import { type LoadResult, runLoad } from './load.ts'
import { CLASSES, loadOf, WARM_UP_SHARE, warmUp } from './service-cases.ts'
import { short } from './table.ts'
import { deployWorkload, urlOf } from './workload.ts'

const INSTANCES = 3
/** Of the load's time. */
const KILLED_AFTER_SHARE = 1 / 3

/** All times in ms after the kill; null: did not happen while the load ran. */
export type NodeKill = {
  node: string
  seconds: number
  sent: number
  failed: number
  failures: Record<string, number>
  firstFailureMs: number | null
  lastFailureMs: number | null
  /** First answer of an instance that took the place of a dead one. */
  replacedMs: number | null
  /** Of the answers before the kill, and after it. */
  before: Figure
  after: Figure
  /** The slowest answer that was asked for before the kill and came after it. */
  slowestAcrossMs: number
  /** One instance without the balancer, before the load. */
  direct: Figure
}

export async function measureNodeKill(cluster: RealCluster, seconds: number): Promise<NodeKill> {
  const workload = await deployWorkload(cluster, {
    instances: INSTANCES,
    balance: 'weighted_round_robin',
  })
  const running = await workload.running()
  const directUrl = urlOf(running[0])
  const node = running.at(-1)?.node ?? ''
  await warmUp([directUrl, cluster.balancerUrl], seconds * WARM_UP_SHARE)
  const direct = createTally()
  await loadInto(direct, { ...loadOf(CLASSES, seconds), url: directUrl })

  const results: LoadResult[] = []
  const total = seconds * CLASSES.length
  const killing = killLater(cluster, node, total * KILLED_AFTER_SHARE * 1_000)
  const begin = performance.now()
  const report = await runLoad({
    ...loadOf(CLASSES, total),
    url: cluster.balancerUrl,
    onResult: (result) => results.push(result),
  })
  return {
    node,
    seconds: short(report.seconds),
    sent: report.sent,
    failed: report.failed,
    failures: report.failures,
    ...aroundKill(results, {
      killedAt: (await killing) - begin,
      endedAt: report.seconds * 1_000,
      known: new Set(running.map(({ id }) => id)),
    }),
    direct: direct.figure(),
  }
}

/** Resolves to the instant of the kill. */
async function killLater(cluster: RealCluster, node: string, ms: number): Promise<number> {
  const agent = cluster.agent(node)
  const programs = await programsOf(`${cluster.folder}/${node}`)
  if (programs.length === 0) throw new Error(`${node} runs no program to kill`)
  await new Promise((resolve) => setTimeout(resolve, ms))
  const killedAt = performance.now()
  agent.kill('SIGKILL')
  for (const pid of programs) process.kill(pid, 'SIGKILL')
  return killedAt
}

/** Exported for its test. `killedAt`, `endedAt`: ms since the load began. */
export function aroundKill(
  results: readonly LoadResult[],
  run: { killedAt: number; endedAt: number; known: ReadonlySet<string> },
) {
  const { killedAt, endedAt, known } = run
  const [before, after] = [createTally(), createTally()]
  before.took(killedAt / 1_000)
  after.took((endedAt - killedAt) / 1_000)
  const answeredAt = ({ at, ms }: LoadResult) => at + ms
  for (const result of results) (answeredAt(result) < killedAt ? before : after).take(result)

  const sinceKill = (found: readonly LoadResult[]) =>
    found.map((result) => Math.round(answeredAt(result) - killedAt)).sort((a, b) => a - b)
  const failed = sinceKill(results.filter(({ failure }) => failure !== undefined))
  const replaced = sinceKill(
    results.filter(({ instance }) => instance !== undefined && !known.has(instance)),
  )
  const across = results.filter((result) => result.at < killedAt && answeredAt(result) >= killedAt)
  return {
    firstFailureMs: failed[0] ?? null,
    lastFailureMs: failed.at(-1) ?? null,
    replacedMs: replaced[0] ?? null,
    before: before.figure(),
    after: after.figure(),
    slowestAcrossMs: short(Math.max(0, ...across.map(({ ms }) => ms))),
  }
}
