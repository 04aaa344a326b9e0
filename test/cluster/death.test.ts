// A worker dies, comes back, is rebooted, or was never there.

import { expect, test } from 'vitest'
import {
  DETECTED_MS,
  MAILED_MS,
  startCluster,
  type VirtualCluster,
} from '#test/helpers/virtual-cluster.ts'
import { hostOf } from '#test/sim/agent.ts'

test('T04/F09/M51/M23: a killed worker is dead within 9 s, its instances run elsewhere', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 3)
  cluster.powerOff('w2')
  const goneMs = await cluster.until(
    () => !cluster.snapshot().alive_nodes.some(({ name }) => name === 'w2'),
  )
  expect(goneMs).toBeLessThanOrEqual(DETECTED_MS)
  expect(cluster.node('w2').state).toBe('reviving')
  expect(cluster.snapshot().dead_nodes).toEqual([])
  // That none of its instances is routed to from here on is I4, held at every step.
  expect(cluster.routed('api')).toEqual(['w1', 'w3'])

  const servedMs = await cluster.until(() => cluster.isWhole('api'))
  expect(goneMs + servedMs).toBeLessThanOrEqual(DETECTED_MS + 3_000)
  expect(cluster.routed('api')).not.toContain('w2')

  await cluster.until(() => cluster.snapshot().dead_nodes.length === 1)
  expect(cluster.snapshot().dead_nodes.map(({ name }) => name)).toEqual(['w2'])
  const history = await cluster.history()
  expect(history.filter((line) => line === 'node.restart_attempt w2')).toHaveLength(3)
  expect(history.indexOf('node.dead w2')).toBeGreaterThan(
    history.lastIndexOf('node.restart_attempt w2'),
  )
})

test('T04/Q19/M07: one death is one mail that names the node and where its instances went', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 3)
  await cluster.run('web', 2)
  cluster.powerOff('w1')
  await cluster.pass(MAILED_MS)
  expect(cluster.subjects()).toEqual(['[tucano] node w1 is dead'])
  const text = cluster.world.mails[0]?.text ?? ''
  expect(text).toContain('w1 (10.0.1.11) is dead: no report for')
  expect(text).toMatch(/api: moved from w1 to w[23]/)
  expect(text).toMatch(/web: moved from w1 to w[23]/)
  await cluster.pass(600_000)
  expect(cluster.subjects()).toHaveLength(1)

  cluster.startAgent('w1')
  await cluster.pass(15_000)
  expect(cluster.subjects()).toHaveLength(2)
  expect(cluster.subjects()[1]).toMatch(/recovered after .*: node w1/)
})

test('T05/M45: a machine that never appears is told of once, and its coming too', async () => {
  const cluster = await startCluster({ absent: ['w3'] })
  await cluster.pass(14_000)
  expect(cluster.node('w3').state).toBe('unknown')
  await cluster.pass(1_500 + MAILED_MS)
  expect(cluster.subjects()).toEqual(['[tucano] node w3 is dead'])
  expect(cluster.world.mails[0]?.text).toContain("not seen since the controller's start")
  await cluster.pass(120_000)
  expect(cluster.subjects()).toHaveLength(1)

  cluster.startAgent('w3')
  await cluster.until(() => cluster.isAlive('w3'), 3_000)
  await cluster.pass(15_000)
  expect(cluster.subjects()).toHaveLength(2)
  expect(cluster.subjects()[1]).toMatch(/recovered after .*: node w3/)
})

test('Q04: silent for 6 s a worker is suspect, about 8 s it is dead', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 3)
  cluster.powerOff('w1')
  await cluster.until(() => cluster.node('w1').state === 'suspect')
  expect(cluster.node('w1').silentMs).toBeGreaterThanOrEqual(6_000)
  expect(cluster.node('w1').silentMs).toBeLessThan(6_260)
  // Silence alone takes no traffic away, but brings no new work either.
  expect(cluster.routed('api')).toContain('w1')
  await cluster.run('web', 2)
  expect(cluster.places('web')).not.toContain('w1')
  await cluster.until(() => cluster.node('w1').state === 'reviving')
  expect(cluster.node('w1').silentMs).toBeGreaterThanOrEqual(8_000)
  expect(cluster.node('w1').silentMs).toBeLessThan(8_500)
})

test('Q04: liveness_timeout is the one knob: 2 s of silence make a worker suspect', async () => {
  const health = 'health: { liveness_timeout: 2500ms, probe_timeout: 250ms }'
  const cluster = await startCluster({ keys: health })
  cluster.powerOff('w1')
  const ms = await cluster.until(() => cluster.node('w1').state === 'reviving')
  expect(ms).toBeLessThan(3_500)
})

test('Q05: the restart command is run three times, 5 s apart, and a returning node adopted', async () => {
  const cluster = await startCluster({ worker: 'restart: { command: [reboot-it] }' })
  await cluster.run('api', 3)
  const attempts: number[] = []
  cluster.world.restart = async (command) => {
    expect(command).toEqual(['reboot-it'])
    attempts.push(Math.round(cluster.clock.now() / 1_000))
  }
  const [before] = cluster.live('api')
  cluster.killAgent('w1')
  await cluster.until(() => cluster.snapshot().dead_nodes.length === 1)
  expect(attempts.map((at) => at - (attempts[0] ?? 0))).toEqual([0, 5, 10])
  await cluster.pass(60_000)
  expect(attempts).toHaveLength(3)

  // Its program ran on all the time: it is taken back, and the copy that was started goes.
  const starts = cluster.startCount()
  cluster.startAgent('w1')
  await cluster.until(() => cluster.isWhole('api') && cluster.isAlive('w1'))
  expect(cluster.live('api').map(({ id }) => id)).toContain(before?.id)
  expect(cluster.routed('api')).toEqual(['w1', 'w2', 'w3'])
  expect(cluster.startCount()).toBe(starts)
})

test('Q05: a node that a restart command brings back is not mailed of', async () => {
  const cluster = await startCluster({ worker: 'restart: { command: [reboot-it] }' })
  await cluster.run('api', 3)
  cluster.world.restart = async () => {
    cluster.clock.after(2_000, () => cluster.startAgent('w1'))
  }
  cluster.powerOff('w1')
  await cluster.until(() => cluster.node('w1').state === 'reviving')
  await cluster.until(() => cluster.isAlive('w1'))
  await cluster.pass(60_000)
  expect(cluster.subjects()).toEqual([])
  expect(cluster.isWhole('api')).toBe(true)
})

test('M16/Q06: a program that ends by itself, cleanly or not, is started again after about 1 s', async () => {
  for (const code of [0, 1]) {
    let isFirst = true
    const behave = () => {
      const ends = isFirst ? { endsAfterMs: 5_000, code } : {}
      isFirst = false
      return ends
    }
    const cluster = await startCluster({ behave })
    await cluster.run('api', 1)
    const [before] = cluster.live('api')
    await cluster.until(() => !cluster.isWhole('api') || cluster.routed('api').length === 0)
    const ms = await cluster.until(() => cluster.routed('api').length === 1)
    expect(ms).toBeLessThan(2_000)
    expect(cluster.live('api')[0]).toMatchObject({ id: before?.id, restarts: 1 })
  }
})

test('Q06: reschedule_after puts off re-placement of what a dead node ran', async () => {
  const cluster = await startCluster({ keys: 'health: { reschedule_after: 30s }' })
  await cluster.run('api', 3)
  cluster.powerOff('w1')
  await cluster.until(() => cluster.node('w1').state === 'reviving')
  const ms = await cluster.until(() => cluster.isWhole('api'))
  expect(ms).toBeGreaterThanOrEqual(30_000)
  expect(ms).toBeLessThan(31_000)
})

test('Q07/I5: a returning node stops what nobody wants from it any more', async () => {
  const cluster = await startCluster()
  await cluster.run('old', 3)
  await cluster.run('api', 3)
  cluster.killAgent('w1')
  await cluster.until(() => cluster.node('w1').state === 'reviving')
  await cluster.submit({ kind: 'remove', service: 'old' })
  await cluster.until(() => cluster.isWhole('api'))
  expect(cluster.programs('w1')).toHaveLength(2)

  cluster.startAgent('w1')
  await cluster.until(() => cluster.isAlive('w1'))
  await cluster.until(() => cluster.programs('w1').length <= 1, 4_000)
  await cluster.until(() => cluster.isWhole('api'))
  expect(cluster.snapshot().configured_services.map(({ name }) => name)).toEqual(['api'])
  const left = ['w1', 'w2', 'w3'].flatMap((name) => cluster.programs(name))
  expect(left.map(({ id }) => id).sort()).toEqual(
    cluster
      .live('api')
      .map(({ id }) => id)
      .sort(),
  )
})

test('F03: an agent that is killed and is back in time: 0 moves, 0 restarts, never dead', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 3)
  const before = idsAndPids(cluster)
  cluster.killAgent('w1')
  await cluster.pass(4_000)
  cluster.startAgent('w1')
  const ms = await cluster.until(() => hostOf(cluster.world, 'w1').agentd !== undefined)
  expect(ms).toBeLessThan(2_000)
  await cluster.pass(20_000)
  expect(idsAndPids(cluster)).toEqual(before)
  expect(cluster.startCount()).toBe(3)
  expect(cluster.subjects()).toEqual([])
  expect(await cluster.history()).not.toContain('node.reviving w1')
})

test('F25: after a reboot exactly concurrency serves within R + 5 s, the old are lost', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 6)
  const old = cluster.live('api').filter(({ node }) => node === 'w1')
  cluster.powerOff('w1')
  await cluster.pass(3_000)
  cluster.startAgent('w1')
  const isReplaced = () => !cluster.live('api').some(({ id }) => old.some((one) => one.id === id))
  const ms = await cluster.until(() => isReplaced() && cluster.isWhole('api'))
  expect(3_000 + ms).toBeLessThanOrEqual(DETECTED_MS + 5_000)
  const gone = cluster.finals('api')
  expect(gone.map(({ id }) => id)).toEqual(old.map(({ id }) => id))
  expect(gone.map(({ why }) => why)).toEqual(Array(2).fill('the machine was restarted'))
  expect(cluster.snapshot().pending).toEqual([])
})

test('S23: a start that its agent forgot does not leave a dead instance in the route', async () => {
  const cluster = await startCluster({ behave: () => ({ healthyAfterMs: 2_000 }) })
  await cluster.deploy('api', 1)
  await cluster.until(() => cluster.programs('w1').length === 1)
  await cluster.pass(500)
  const host = hostOf(cluster.world, 'w1')
  host.notebook.disk.setFull(true)
  await cluster.until(() => cluster.isWhole('api'))
  const [first] = cluster.live('api')
  cluster.killAgent('w1')
  host.machine.kill(first?.id ?? '')
  host.notebook.disk.setFull(false)
  await cluster.pass(1_000)
  cluster.startAgent('w1')
  await cluster.until(() => cluster.live('api').every(({ id }) => id !== first?.id))
  await cluster.until(() => cluster.isWhole('api'))
  expect(cluster.finals('api')[0]).toMatchObject({ id: first?.id, state: 'unexpected_crashed' })
})

test('F25: a reboot is no crash loop, however often a program was restarted before', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 2)
  const [first] = cluster.live('api')
  for (let count = 1; count <= 5; count += 1) {
    hostOf(cluster.world, 'w1').machine.kill(first?.id ?? '')
    await cluster.until(() => cluster.live('api')[0]?.restarts === count)
    await cluster.until(() => cluster.isWhole('api'))
  }
  cluster.powerOff('w1')
  await cluster.pass(2_000)
  cluster.startAgent('w1')
  const isReplaced = () => !cluster.live('api').some(({ id }) => id === first?.id)
  const ms = await cluster.until(() => isReplaced() && cluster.isWhole('api'))
  expect(2_000 + ms).toBeLessThanOrEqual(DETECTED_MS + 5_000)
  await cluster.pass(30_000)
  expect(cluster.subjects()).toEqual([])
})

function idsAndPids(cluster: VirtualCluster) {
  return cluster.live().map(({ id, node, pid, port, restarts }) => [id, node, pid, port, restarts])
}
