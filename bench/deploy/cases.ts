// What is done to a service while it is asked: each case makes it ready, and then changes it once.
// A change that can be repeated is, until enough requests have been seen.

import type { ServiceConfig } from '#shared/configuration.ts'
import type { Instance } from '#shared/model.ts'
import type { RealCluster } from '#test/helpers/real-cluster.ts'

const PROGRAM = 'bench/deploy/program'
const SERVICE = 'steady'
const INSTANCES = 3

export type Case = {
  name: string
  /** Makes the service as the case wants it. */
  begin(cluster: RealCluster): Promise<Changes>
}

export type Changes = {
  /** The n-th change, from 1; resolves when all of it is over. */
  change(n: number): Promise<void>
}

export const CASES: readonly Case[] = [
  updates('rolling', {}),
  updates('blue-green', { strategy: 'blue_green' }),
  updates('canary', { strategy: 'canary', steps: [34], pause: '500ms' }),
  updates('rolling, ignores SIGTERM', {}, { IGNORE_TERM: '1' }),
  // One instance, so that a change takes seconds and not half a minute.
  updates('rolling, 5 s to start', {}, { START_MS: '5000' }, 1),
  {
    name: 'rollback',
    async begin(cluster) {
      await deploy(cluster, await configOf(cluster, {}, { REVISION: '0' }))
      const second = await deploy(cluster, await configOf(cluster, {}, { REVISION: '1' }))
      return {
        async change(n) {
          const revision = second.revision - (n % 2)
          await command(cluster, 'POST', `/v1/services/${SERVICE}/rollback`, { revision })
        },
      }
    },
  },
  {
    name: 'drain',
    async begin(cluster) {
      await deploy(cluster, await configOf(cluster, {}, {}))
      return {
        async change(n) {
          await emptyAndReopen(cluster, n)
        },
      }
    },
  },
  {
    name: 'rebalance',
    async begin(cluster) {
      await deploy(cluster, await configOf(cluster, {}, {}))
      return {
        async change(n) {
          await emptyAndReopen(cluster, n)
          await cluster.api('POST', '/v1/rebalance', {})
          await cluster.until('each node has one', async () => {
            const live = (await cluster.instances(SERVICE)).filter(isLive)
            return live.length === 3 && new Set(live.map((one) => one.node)).size === 3
          })
        },
      }
    },
  },
]

/** Each change is a new revision of the same program. */
function updates(
  name: string,
  update: Partial<ServiceConfig['update']>,
  env: Record<string, string> = {},
  concurrency = INSTANCES,
): Case {
  return {
    name,
    async begin(cluster) {
      const config = { ...(await configOf(cluster, update, env)), concurrency }
      const revised = (n: number) => ({ ...config, env: { ...env, REVISION: String(n) } })
      await deploy(cluster, revised(0))
      return {
        async change(n) {
          await deploy(cluster, revised(n))
        },
      }
    },
  }
}

async function configOf(
  cluster: RealCluster,
  update: Partial<ServiceConfig['update']>,
  env: Record<string, string>,
): Promise<ServiceConfig> {
  const config = await cluster.upload(PROGRAM, { env })
  return { ...config, update: { ...config.update, ...update } }
}

async function deploy(cluster: RealCluster, config: ServiceConfig) {
  const { id, revision } = await cluster.declare(config)
  await whole(cluster, id, config.concurrency)
  return { revision }
}

async function command(cluster: RealCluster, method: string, path: string, body: unknown) {
  type Answer = { deployment_id?: string }
  const { status, body: answer } = await cluster.api<Answer>(method, path, body)
  if (status !== 202) throw new Error(`${path}: ${status} ${JSON.stringify(answer)}`)
  if (answer.deployment_id !== undefined) await whole(cluster, answer.deployment_id)
}

/** The deployment is complete and what it replaced has ended. */
async function whole(cluster: RealCluster, id: string, instances = INSTANCES): Promise<void> {
  const { state, why } = await cluster.settled(id)
  if (state !== 'complete_running') throw new Error(`${SERVICE} is ${state}: ${why}`)
  await cluster.until('what was replaced has ended', async () => {
    const live = (await cluster.instances(SERVICE)).filter(isLive)
    return live.length === instances && live.every(({ healthy }) => healthy)
  })
}

/** Each worker in its turn. */
async function emptyAndReopen(cluster: RealCluster, n: number): Promise<void> {
  const node = `w${((n - 1) % 3) + 1}`
  await drain(cluster, node)
  await cluster.api('POST', `/v1/nodes/${node}/undrain`, {})
}

async function drain(cluster: RealCluster, node: string): Promise<void> {
  await cluster.api('POST', `/v1/nodes/${node}/drain`, {})
  await cluster.until(`${node} is empty`, async () => {
    const live = (await cluster.instances(SERVICE)).filter(isLive)
    return live.length === 3 && live.every((one) => one.node !== node && one.healthy)
  })
}

function isLive({ state }: Instance): boolean {
  return state === 'deploying' || state === 'started' || state === 'terminating'
}
