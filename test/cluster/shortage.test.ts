// A program that runs out of what it may have: everybody who is told of its failure is told why.

import { expect, test } from 'vitest'
import { startCluster } from '#test/helpers/virtual-cluster.ts'

const MEMORY = { of: 'memory' as const, limit: 64 * 1024 * 1024 }
const WORDS = 'out of memory (limit 64MiB)'

test('F33: the deployment of one that starves at its start says so', async () => {
  const cluster = await startCluster()
  cluster.world.behave = () => ({ endsAfterMs: 10, code: 1, shortages: [MEMORY] })
  const { deployment } = await cluster.deploy('hungry', 1)
  const failed = () => cluster.snapshot().deployments.find(({ id }) => id === deployment?.id)
  await cluster.until(() => failed()?.failure !== undefined)
  expect(failed()?.failure?.error).toContain(WORDS)
})

test('F33: the instance, the event and the mail of one that starves again and again say so', async () => {
  const cluster = await startCluster()
  cluster.world.behave = () => ({ endsAfterMs: 500, code: 1, shortages: [MEMORY] })
  await cluster.deploy('hungry', 1)
  await cluster.until(() => cluster.finals('hungry').length === 1)
  expect(cluster.finals('hungry')[0]?.failure?.error).toContain(WORDS)
  await cluster.pass(15_000)
  expect(cluster.world.mails.map(({ text }) => text).join()).toContain(WORDS)
})
