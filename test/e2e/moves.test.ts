// Drain, undrain and rebalance between real processes, by the command line and under load.

import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import type { RebalancePlan } from '#ctld/deployer/rebalance.ts'
import { startLoad } from '#test/helpers/closed-loop.ts'
import { type RealCluster, startCluster } from '#test/helpers/real-cluster.ts'

const root = join(import.meta.dirname, '../..')
const MORE = 400

async function tucano(cluster: RealCluster, ...words: string[]): Promise<string> {
  const argv = [join(root, 'cli/main.ts'), ...words]
  const env = {
    ...process.env,
    TUCANO_CONTROLLER: cluster.apiUrl,
    TUCANO_TOKEN_FILE: `${cluster.folder}/ctld/admin-token`,
  }
  const { stdout } = await promisify(execFile)(process.execPath, argv, { env })
  return stdout
}

async function nodesOf(cluster: RealCluster): Promise<string> {
  const instances = await cluster.instances('trivial-js')
  const live = instances.filter(({ state }) => state === 'started')
  return live
    .map(({ node }) => node)
    .toSorted()
    .join()
}

test('a worker is emptied and filled again, and no request fails', async () => {
  await using cluster = await startCluster({ workers: 3 })
  await cluster.deploy('trivial-js', { concurrency: 3 })
  const given = {
    port: cluster.ports.balancer,
    host: 'trivial-js',
    isRight: () => true,
    path: () => '/',
  }
  const kept = startLoad({ ...given, clients: 4 })
  const fresh = startLoad({ ...given, clients: 2, isFresh: true })
  const more = () => Promise.all([kept.answered(MORE), fresh.answered(MORE / 4)])
  await more()

  expect(await tucano(cluster, 'drain', 'w1')).toBe('w1: drained and empty\n')
  expect(await nodesOf(cluster)).not.toContain('w1')
  await more()
  await tucano(cluster, 'undrain', 'w1')
  const { body: plan } = await cluster.api<RebalancePlan>('GET', '/v1/rebalance/plan')
  expect(plan.moves).toMatchObject([{ service: 'trivial-js', to: 'w1' }])
  expect(await tucano(cluster, 'rebalance', '--yes')).toMatch(/^rebalance: 1 of 1 moved in /m)
  expect(await nodesOf(cluster)).toBe('w1,w2,w3')
  await more()

  for (const load of [kept, fresh]) {
    const outcome = await load.stop()
    expect([...outcome.failed]).toEqual([])
    expect(outcome.saw).toEqual({ 200: outcome.requests })
  }
  // What the others cannot hold is not drained.
  await cluster.deploy('trivial-js', { concurrency: 3, max_per_node: 1 })
  await expect(tucano(cluster, 'drain', 'w2')).rejects.toThrow(/cannot hold .*max_per_node 1/)
  expect(await nodesOf(cluster)).toBe('w1,w2,w3')
})
