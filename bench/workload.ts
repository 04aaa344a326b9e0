// number-fact in a cluster that is measured: as many instances and the rule that a case wants,
// each instance worth one core at most.

import { assert } from '#shared/assert.ts'
import type { ServiceConfig } from '#shared/configuration.ts'
import type { Instance } from '#shared/model.ts'
import type { RealCluster } from '#test/helpers/real-cluster.ts'

export const SERVICE = 'number-fact'

export type Wanted = { instances: number; balance: ServiceConfig['balance'] }

export type Workload = {
  /** Changes the running service; resolves when just the instances that are wanted serve. */
  arrange(wanted: Wanted): Promise<void>
  /** Those that serve, sorted by id. */
  running(): Promise<Instance[]>
}

export async function deployWorkload(cluster: RealCluster, wanted: Wanted): Promise<Workload> {
  const config = await cluster.upload(SERVICE, {
    ...changeOf(wanted),
    env: { NUMBER_FACT_THREADS: '1' },
  })
  let inForce: Wanted | undefined

  const workload: Workload = {
    async arrange(next) {
      if (next.instances === inForce?.instances && next.balance === inForce.balance) return
      const { id } = await cluster.declare({ ...config, ...changeOf(next) })
      const { state, why } = await cluster.settled(id)
      if (state !== 'complete_running') throw new Error(`${SERVICE} is ${state}: ${why}`)
      await cluster.until(`${next.instances} instances serve`, async () => {
        const all = await cluster.instances(SERVICE)
        return all.length === next.instances && all.every(isServing)
      })
      inForce = next
    },
    async running() {
      const all = await cluster.instances(SERVICE)
      return all.filter(isServing).sort((left, right) => (left.id < right.id ? -1 : 1))
    },
  }
  await workload.arrange(wanted)
  return workload
}

/** `w1`, or `w1a`, `w1b` … where a node has more than one. */
export function namesOf(instances: readonly Instance[]): Map<string, string> {
  const names = new Map<string, string>()
  for (const [node, mine] of Map.groupBy(instances, (instance) => instance.node)) {
    for (const [index, { id }] of mine.entries()) {
      names.set(id, mine.length === 1 ? node : `${node}${String.fromCharCode(97 + index)}`)
    }
  }
  return names
}

export function urlOf(instance: Instance | undefined): string {
  assert(instance?.port !== undefined, 'an instance that serves has a port')
  return `http://127.0.0.1:${instance.port}`
}

function changeOf({ instances, balance }: Wanted): Pick<ServiceConfig, 'concurrency' | 'balance'> {
  return { concurrency: instances, balance }
}

function isServing({ state, healthy }: Instance): boolean {
  return state === 'started' && healthy
}
