// A bad revision under real load: it is taken back by itself, and no request fails but those that
// it answered itself.

import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ServiceConfig } from '#shared/configuration.ts'
import type { Deployment } from '#shared/model.ts'
import { type Load, startLoad } from '#test/helpers/closed-loop.ts'
import { type RealCluster, startCluster } from '#test/helpers/real-cluster.ts'

let cluster: RealCluster
let config: ServiceConfig

beforeAll(async () => {
  // Long enough for an agent on a machine that is busy with other things.
  cluster = await startCluster({ workers: 2, extra: 'health: { liveness_timeout: 20s }' })
  config = await cluster.upload('test/fixtures/revisions')
  const { id } = await cluster.declare(config)
  expect(await cluster.settled(id)).toMatchObject({ state: 'complete_running' })
})

afterAll(() => cluster[Symbol.asyncDispose]())

const bad = (BAD: string) => ({ ...config, env: { BAD } })

/** Two new connections at a time and six that stay. */
function load(): {
  stop(): Promise<Record<string, number>>
  answered(count: number): Promise<void>
} {
  const port = cluster.ports.balancer
  const loads: Load[] = [
    startLoad({ port, clients: 6 }),
    startLoad({ port, clients: 2, isFresh: true }),
  ]
  return {
    answered: async (count) => loads[0]?.answered(count),
    async stop() {
      const saw: Record<string, number> = {}
      for (const { saw: own } of await Promise.all(loads.map((one) => one.stop()))) {
        for (const [kind, count] of Object.entries(own)) saw[kind] = (saw[kind] ?? 0) + count
      }
      return saw
    },
  }
}

/** Until it is taken back and what was before it runs as a whole. */
async function reverted({ id }: Deployment): Promise<Deployment> {
  const failed = await cluster.settled(id)
  expect(failed, JSON.stringify(failed)).toMatchObject({ state: 'reverted', former: 1 })
  const back = await cluster.settled(failed.revertedBy ?? '')
  expect(back).toMatchObject({ kind: 'revert', revision: 1, state: 'complete_running' })
  await cluster.until('only the good revision is left', async () => {
    const left = await cluster.instances('api')
    return left.length === 2 && left.every(({ revision }) => revision === 1)
  })
  return failed
}

test('a fifth of its answers are errors: taken back, and nobody else failed', async () => {
  const clients = load()
  await clients.answered(500)
  const failed = await reverted(await cluster.declare(bad('failing')))
  await clients.answered(500)
  const saw = await clients.stop()
  expect(Object.keys(saw).sort()).toEqual(['200', '500'])
  expect(failed.why).toMatch(/^\d+\.\d % of its \d+ requests failed, 0\.0 % of the former/)
  const own = failed.receipt?.programs.find(({ isNew }) => isNew)
  const others = failed.receipt?.programs.filter(({ isNew }) => !isNew)
  expect(own?.failed).toBeGreaterThan(0)
  expect(own?.failed).toBeLessThanOrEqual(saw[500] ?? 0)
  expect(others).toMatchObject([{ failed: 0 }])
  // As soon as enough is known: most of what was asked went well.
  expect((saw[500] ?? 0) / ((saw[200] ?? 0) + (saw[500] ?? 0))).toBeLessThan(0.2)
})

test('it is never healthy: nobody notices, and the record says what it said', async () => {
  const clients = load()
  const failed = await reverted(await cluster.declare(bad('sick')))
  const saw = await clients.stop()
  expect(Object.keys(saw)).toEqual(['200'])
  expect(failed.why).toMatch(/^failed to start 3 times on w[12]: /)
  expect(failed.failure).toMatchObject({
    last_probe: expect.stringContaining('503'),
    log_tail: expect.arrayContaining(['revision sick listens']),
  })
})

test('it is healthy and then crashes: the record has its last words', async () => {
  const failed = await reverted(await cluster.declare(bad('crashing')))
  expect(failed.why).toMatch(/^crashed \d times: /)
  expect(failed.failure).toMatchObject({
    exit_code: 9,
    log_tail: expect.arrayContaining(['out of luck']),
  })
})

test('a good one stays, is watched under load, and says what it cost; then back by hand', async () => {
  const clients = load()
  await clients.answered(500)
  const { id } = await cluster.declare({ ...config, env: { GOOD: 'yes' } })
  const done = await cluster.settled(id)
  expect(done).toMatchObject({ state: 'complete_running', receipt: { during: { failed: 0 } } })
  expect(done.receipt?.after).toMatchObject({ failed: 0 })
  expect(done.receipt?.after.requests).toBeGreaterThan(0)
  const path = '/v1/services/api/rollback'
  const { body } = await cluster.api<{ deployment_id: string }>('POST', path)
  const back = await cluster.settled(body.deployment_id)
  expect(back).toMatchObject({ kind: 'rollback', revision: 1, state: 'complete_running' })
  expect(Object.keys(await clients.stop())).toEqual(['200'])
})
