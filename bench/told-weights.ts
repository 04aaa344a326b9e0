// What the weights do, in a controlled case: three nodes of one host that report unlike loads, and
// each one's share of the requests beside the share that its weight promises.

import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { weigh } from '#ctld/balancer/weigh.ts'
import type { NodeView } from '#ctld/snapshot.ts'
import type { RealCluster } from '#test/helpers/real-cluster.ts'
import { createTally, type Figure, loadInto, sharesOf } from './figures.ts'
import { loadOf } from './service-cases.ts'
import { startTeller, type ToldCpu } from './told-metrics.ts'
import { namesOf, type Wanted, type Workload } from './workload.ts'

const TOLD: ToldCpu = { w1: 0.1, w2: 0.4, w3: 0.8 }

export type ToldNode = {
  node: string
  toldCpu: number
  weight: number
  requests: number
  share: number
  /** Of the weight in all weights; for round robin the same for all. */
  promised: number
}

export type ToldWeights = { balance: Wanted['balance']; figure: Figure; nodes: ToldNode[] }

/** Of the class easy. Leaves the agents reporting the truth no more. */
export async function measureToldWeights(
  cluster: RealCluster,
  workload: Workload,
  seconds: number,
): Promise<ToldWeights[]> {
  await using teller = await startTeller(cluster.apiUrl, TOLD)
  for (const name of Object.keys(TOLD)) await reportTo(teller.url, cluster, name)
  await cluster.until('the controller believes what it is told', async () => {
    const nodes = await nodesOf(cluster)
    return nodes.every(({ name, metrics }) => metrics?.cpu === TOLD[name])
  })
  const found: ToldWeights[] = []
  for (const balance of ['round_robin', 'weighted_round_robin'] as const) {
    await workload.arrange({ instances: Object.keys(TOLD).length, balance })
    found.push(await measureShares(cluster, workload, { balance, seconds }))
  }
  return found
}

async function measureShares(
  cluster: RealCluster,
  workload: Workload,
  { balance, seconds }: { balance: Wanted['balance']; seconds: number },
): Promise<ToldWeights> {
  const names = namesOf(await workload.running())
  const tally = createTally()
  await loadInto(tally, { ...loadOf(['easy'], seconds), url: cluster.balancerUrl })
  const weights = Object.values(TOLD).map(weightOf)
  const sum = weights.reduce((total, weight) => total + weight, 0)
  const isWeighted = balance === 'weighted_round_robin'
  const nodes = sharesOf(tally.instances(), (id) => names.get(id) ?? id).map(
    ({ instance, requests, share }) => {
      const toldCpu = TOLD[instance] ?? 0
      const weight = weightOf(toldCpu)
      const promised = isWeighted ? weight / sum : 1 / weights.length
      return { node: instance, toldCpu, weight, requests, share, promised }
    },
  )
  return { balance, figure: tally.figure(), nodes }
}

/** Starts the agent again, with its programs running on, for another address of the controller. */
async function reportTo(url: string, cluster: RealCluster, name: string): Promise<void> {
  const text = await readFile(join(cluster.folder, `${name}.yaml`), 'utf8')
  const file = join(cluster.folder, `${name}-told.yaml`)
  await writeFile(file, text.replace(/^controller: .*$/m, `controller: ${url}`))
  const agent = cluster.agent(name)
  agent.kill('SIGTERM')
  await agent.exited
  await cluster.startAgent(name, ['--config', file])
}

async function nodesOf(cluster: RealCluster): Promise<NodeView[]> {
  return (await cluster.api<{ nodes: NodeView[] }>('GET', '/v1/nodes')).body.nodes
}

function weightOf(cpu: number): number {
  return weigh({
    metrics: { ...IDLE, cpu },
    metricsAgeMs: 0,
    intervalMs: 1_000,
  })
}

const IDLE = {
  cpu: 0,
  cores: 1,
  load: 0,
  memory_total: 1,
  memory_used: 0,
  disk_total: 0,
  disk_used: 0,
  net_rx_per_s: 0,
  net_tx_per_s: 0,
}
