// What the sysadmin is told: once for each transition, grouped, and when it is over (Q19).

import { expect, test } from 'vitest'
import {
  DETECTED_MS,
  MAILED_MS,
  namesOf,
  startCluster,
  type VirtualCluster,
} from '#test/helpers/virtual-cluster.ts'
import { CONTROLLER } from '#test/sim/edges.ts'

test('Q12/S09: without a live worker a deploy is accepted, waits with its reason, is placed later', async () => {
  const cluster = await startCluster({ absent: ['w1', 'w2', 'w3'] })
  const { deployment } = await cluster.deploy('api', 2)
  expect(deployment?.state).toBe('deploying')
  await cluster.pass(1_000)
  expect(cluster.snapshot().pending).toEqual([
    {
      service: 'api',
      count: 2,
      why: 'w1, w2, w3: has not reported yet',
    },
  ])
  await cluster.pass(30_000)
  expect(cluster.subjects()).toContain('[tucano] no worker is alive')
  const mail = cluster.world.mails.find(({ subject }) => subject.includes('no worker'))
  expect(mail?.text).toContain('these services wait for one: api')

  cluster.startAgent('w2')
  await cluster.until(() => cluster.isWhole('api'), 4_000)
  expect(cluster.places('api')).toBe('w2,w2')
  await cluster.pass(15_000)
  const about = cluster.subjects().filter((subject) => /worker is alive/.test(subject))
  expect(about).toHaveLength(2)
  expect(about[1]).toContain('a worker is alive again')
})

test('F05/Q06: a crash loop is 6 starts, then failed, one alert; the others run on', async () => {
  const cluster = await startCluster()
  await cluster.run('well', 3)
  cluster.world.behave = () => ({ endsAfterMs: 500, code: 1, output: ['no database'] })
  await cluster.deploy('bad', 1)
  await cluster.until(() => cluster.finals('bad').length === 1)
  const [failed] = cluster.finals('bad')
  expect(failed).toMatchObject({ state: 'unexpected_crashed', restarts: 5 })
  expect(failed?.failure).toMatchObject({ exit_code: 1, log_tail: ['no database'] })
  expect(cluster.startCount()).toBe(3 + 6)
  expect(cluster.snapshot().pending.map(({ why }) => why)).toEqual([
    'failed: it crashes again and again; the next try waits',
  ])

  await cluster.pass(59_000)
  expect(cluster.startCount()).toBe(3 + 6)
  // Then it is tried elsewhere, ever more slowly.
  await cluster.until(() => cluster.live('bad').length === 1, 3_000)
  expect(cluster.live('bad')[0]?.node).not.toBe(failed?.node)
  await cluster.pass(300_000)
  expect(cluster.subjects()).toEqual(['[tucano] service bad is failing'])
  expect(cluster.isWhole('well')).toBe(true)
  expect(cluster.live('well').map(({ restarts }) => restarts)).toEqual([0, 0, 0])
})

test('F05/F17: a wall clock that was set back does not prolong the pause of a crash loop', async () => {
  const cluster = await startCluster({ behave: () => ({ endsAfterMs: 500, code: 1 }) })
  await cluster.deploy('bad', 1)
  await cluster.until(() => cluster.finals('bad').length === 1)
  cluster.clock.jumpWall(-24 * 3_600_000)
  await cluster.restartController()
  await cluster.until(() => cluster.live('bad').length === 1, 62_000)
})

test('F05: a mended service is told of once, when it has been whole for a minute', async () => {
  const cluster = await startCluster({ behave: () => ({ endsAfterMs: 500, code: 1 }) })
  await cluster.deploy('bad', 1)
  await cluster.until(() => cluster.finals('bad').length === 1)
  await cluster.pass(15_000)
  cluster.world.behave = () => ({})
  await cluster.run('bad', 1, { env: { MENDED: 'yes' } })
  await cluster.pass(55_000)
  expect(cluster.subjects()).toHaveLength(1)
  await cluster.pass(20_000)
  expect(cluster.subjects()).toHaveLength(2)
  expect(cluster.subjects()[1]).toMatch(/recovered .* service bad/)
})

test.each([[20], [25], [50]])(
  'F40: 20 of %i nodes die together: one mail names all 20, one tells of their return',
  async (workers) => {
    const cluster = await startCluster({ workers })
    await cluster.run('api', 40)
    for (const name of namesOf(20)) cluster.powerOff(name)
    await cluster.pass(MAILED_MS + 30_000)
    expect(cluster.subjects()).toHaveLength(1)
    const text = cluster.world.mails[0]?.text ?? ''
    for (const name of namesOf(20)) expect(text).toMatch(new RegExp(`\\b${name}\\b`))

    for (const name of namesOf(20)) cluster.startAgent(name)
    await cluster.until(() => cluster.snapshot().alive_nodes.length === workers)
    await cluster.until(() => cluster.isWhole('api'))
    await cluster.pass(30_000)
    expect(cluster.subjects()).toHaveLength(2)
    expect(cluster.subjects()[1]).toContain('recovered')
  },
)

test('Q19: a death is told of once, again after 6 h, and when it is over', async () => {
  const health = 'health: { sweep: 60s }'
  const cluster = await startCluster({ workers: 2, keys: health })
  cluster.powerOff('w2')
  await cluster.until(() => cluster.subjects().length === 1, 300_000)
  await cluster.until(() => cluster.subjects().length === 2, 6.1 * 3_600_000)
  expect(cluster.subjects()[1]).toMatch(/still, after 6 h.*: node w2 is dead/)
})

test('Q19: of more than five alerts within a minute the rest stands in one mail', async () => {
  const cluster = await startCluster({ workers: 40, keys: 'alerts: { gather: 100ms }' })
  for (const name of namesOf(9)) {
    cluster.powerOff(name)
    await cluster.pass(4_000)
  }
  await cluster.pass(DETECTED_MS + 120_000)
  expect(cluster.subjects()).toHaveLength(6)
  expect(cluster.subjects().at(-1)).toBe('[tucano] 4 nodes are dead: w6, w7, w8, w9')
  const all = cluster.world.mails.map(({ text }) => text).join('\n')
  for (const name of namesOf(9)) expect(all).toMatch(new RegExp(`\\b${name} \\(`))
  await noMailWithin(cluster, 60_000)
})

test('Q19/F01: an alert survives a kill of the controller, and is sent once', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 3)
  cluster.powerOff('w2')
  await cluster.until(() => cluster.snapshot().dead_nodes.length === 1)
  await cluster.restartController()
  await cluster.pass(30_000)
  expect(cluster.subjects()).toEqual(['[tucano] node w2 is dead'])
  expect(cluster.snapshot().dead_nodes.map(({ name }) => name)).toEqual(['w2'])
  await cluster.restartController()
  await noMailWithin(cluster, 60_000)
})

test('Q19: without a mail server a test alert is refused in words', async () => {
  const cluster = await startCluster()
  await expect(cluster.submit({ kind: 'test_alert' })).rejects.toThrow(/set alerts\.smtp/)
})

test('M45: a worker that answers but whose reports do not arrive is told of, once', async () => {
  const cluster = await startCluster()
  cluster.world.network.cut('w1', CONTROLLER)
  const answers = cluster.world.network.call
  // Only what it says of itself is lost: its answers to probes arrive.
  cluster.world.network.call = (call) => (call.to === 'w1' ? call.handle() : answers(call))
  await cluster.pass(180_000)
  expect(cluster.subjects()).toHaveLength(1)
  expect(cluster.world.mails[0]?.text).toContain('answers but has not reported for a minute')
  expect(cluster.world.controller.ctld?.snapshot().dead_nodes).toEqual([])
  cluster.world.network.heal()
  await cluster.pass(60_000)
  expect(cluster.subjects()).toHaveLength(2)
})

test('M07: a test alert reaches the sysadmin', async () => {
  const smtp = 'smtp: { host: mail.example.org }'
  const keys = `alerts: { from: t@example.org, to: [a@example.org], ${smtp} }`
  const cluster = await startCluster({ keys })
  const { mail } = await cluster.submit({ kind: 'test_alert' })
  await cluster.pass(1_000)
  expect(cluster.subjects()).toEqual(['[tucano] test alert'])
  expect(cluster.world.mails[0]?.text).toContain(`Mail: ${mail?.id}`)
})

async function noMailWithin(cluster: VirtualCluster, ms: number): Promise<void> {
  const before = cluster.subjects().length
  await cluster.pass(ms)
  expect(cluster.subjects()).toHaveLength(before)
}
