// The controller is killed, its disk is full, a second one appears: what was promised stays.

import { expect, test } from 'vitest'
import type { Command } from '#ctld/commands.ts'
import { createFakeStorage } from '#test/fakes/store.ts'
import { configOf } from '#test/helpers/cluster.ts'
import { randomOf } from '#test/helpers/seeds.ts'
import { startCluster, topologyOf, type VirtualCluster } from '#test/helpers/virtual-cluster.ts'
import { newDataPlane } from '#test/sim/data-plane.ts'
import type { ControllerHost } from '#test/sim/world.ts'

test('F01/Q16: after kill -9 of the controller the state is the same and nothing restarts', async () => {
  const cluster = await startCluster()
  await cluster.run('a', 3)
  await cluster.run('b', 2)
  await cluster.submit({ kind: 'drain', node: 'w3' })
  await cluster.until(() => cluster.isWhole('a') && cluster.isWhole('b'))
  await cluster.pass(5_000)
  const [before, starts] = [stateOf(cluster), cluster.startCount()]
  const table = targetsOf(cluster)

  cluster.world.killController('kill')
  await cluster.pass(2_000)
  cluster.world.startController()
  const ms = await cluster.until(() => cluster.world.controller.ctld !== undefined)
  expect(ms).toBeLessThanOrEqual(3_000)
  // Traffic flows from the first moment, by what the state says.
  expect(targetsOf(cluster)).toEqual(table)
  await cluster.until(() => cluster.snapshot().alive_nodes.length === 3)
  await cluster.pass(30_000)
  expect(stateOf(cluster)).toEqual(before)
  expect(cluster.startCount()).toBe(starts)
  expect(cluster.subjects()).toEqual([])
})

test('F01: what was acknowledged is there after kill -9, at once after the answer', async () => {
  const cluster = await startCluster()
  for (let count = 1; count <= 10; count += 1) {
    await cluster.deploy('api', count, { env: { V: String(count) } })
    await cluster.restartController(200)
    expect(cluster.service('api').config).toMatchObject({
      concurrency: count,
      env: { V: String(count) },
    })
  }
  await cluster.until(() => cluster.isWhole('api'), 120_000)
})

test('Q16: active_services are there at once, and right again by the next reports', async () => {
  const cluster = await startCluster()
  await cluster.run('api', 3)
  cluster.world.killController('kill')
  const [first] = cluster.world.agents.values()
  first?.machine.kill(first.machine.running()[0]?.id ?? '')
  cluster.world.startController()
  await cluster.until(() => cluster.world.controller.ctld !== undefined)
  expect(cluster.snapshot().active_services[0]?.instances).toHaveLength(3)
  await cluster.until(() => cluster.snapshot().alive_nodes.length === 3, 3_000)
  await cluster.until(() => cluster.isWhole('api'), 3_000)
  expect(cluster.live('api').map(({ restarts }) => restarts)).toEqual([1, 0, 0])
})

test('F02: killed at 200 random points of deploy, stop and config put: whole or not at all', async () => {
  const random = randomOf(42)
  const cluster = await startCluster()
  const { world } = cluster
  for (let round = 1; round <= 200; round += 1) {
    const { version } = cluster.snapshot().config
    const text = topologyOf(['w1', 'w2', 'w3'], { keys: `health: { sweep: ${200 + round}ms }` })
    const config = configOf('api', round % 7, { env: { V: String(round) } })
    const commands: Command[] = [
      { kind: 'deploy', config },
      { kind: 'put_config', version, text, by: 'api' },
      { kind: 'stop', service: 'api' },
    ]
    const acknowledged = new Set<Command['kind']>()
    for (const command of commands) {
      cluster
        .ctld()
        .submit(command)
        .then(() => acknowledged.add(command.kind))
    }
    await cluster.pass(random.random() * 8)
    world.killController('kill')
    await cluster.pass(50)
    world.startController()
    await cluster.until(() => world.controller.ctld !== undefined)
    expectWhole(cluster, acknowledged, { round, text, version })
  }
  await cluster.until(() => cluster.snapshot().alive_nodes.length === 3)
  await cluster.run('api', 3)
})

function expectWhole(
  cluster: VirtualCluster,
  acknowledged: ReadonlySet<Command['kind']>,
  { round, text, version }: { round: number; text: string; version: number },
): void {
  const { configured_services, deployments, config } = cluster.snapshot()
  expect(config.version).toBeGreaterThanOrEqual(version)
  if (acknowledged.has('put_config')) expect(config.text).toBe(text)
  const service = configured_services[0]
  const isNew = service?.config.env.V === String(round)
  if (acknowledged.has('deploy')) expect(isNew).toBe(true)
  if (acknowledged.has('stop')) expect(service?.desired).toBe('stopped')
  if (service === undefined) return
  // What is there is of one piece, also when nobody was told of it.
  if (isNew) expect(service.config.concurrency).toBe(round % 7)
  expect(service.revisions.at(-1)?.config).toEqual(service.config)
  expect(deployments.map(({ id }) => id)).toContain(service.deployment)
}

test('F18: with a full disk requests are refused in words, watching goes on, it recovers alone', async () => {
  const cluster = await startCluster()
  const { storage } = cluster.world.controller
  await cluster.run('api', 3)
  storage.setFull(true)
  const refused = await cluster.refusal({ kind: 'scale', service: 'api', concurrency: 5 })
  expect(refused.code).toBe('store_failed')
  expect(refused.message).toMatch(/full|ENOSPC|space/)
  expect(cluster.service('api').config.concurrency).toBe(3)
  await cluster.pass(500)
  expect(cluster.snapshot().degraded).toMatch(/full|ENOSPC|space/)

  cluster.powerOff('w2')
  await cluster.until(() => cluster.isWhole('api') && !cluster.routed('api').includes('w2'))
  await cluster.pass(15_000)
  expect(cluster.subjects()[0]).toBe('[tucano] the controller cannot write its state')

  storage.setFull(false)
  const ms = await cluster.until(() => cluster.snapshot().degraded === null)
  expect(ms).toBeLessThanOrEqual(5_000)
  await cluster.submit({ kind: 'scale', service: 'api', concurrency: 5 })
  await cluster.until(() => cluster.isWhole('api'))
  const [before, starts] = [stateOf(cluster), cluster.startCount()]
  await cluster.restartController()
  await cluster.until(() => cluster.snapshot().alive_nodes.length === 2)
  expect(stateOf(cluster)).toEqual(before)
  expect(cluster.startCount()).toBe(starts)
  await cluster.pass(60_000)
  const store = cluster.subjects().filter((subject) => /writes? its state/.test(subject))
  expect(store).toHaveLength(2)
})

test('F18: a configuration that could not be kept is not in force, nor in its file', async () => {
  const cluster = await startCluster({ workers: 2 })
  const { text } = cluster.world
  const { version } = cluster.snapshot().config
  cluster.world.controller.storage.setFull(true)
  const more = topologyOf(['w1', 'w2', 'w3'])
  const refused = await cluster.refusal({ kind: 'put_config', version, text: more, by: 'api' })
  expect(refused.code).toBe('store_failed')
  expect(cluster.snapshot().nodes).toHaveLength(2)
  await cluster.pass(1_000)
  cluster.world.controller.storage.setFull(false)
  await cluster.restartController()
  expect(cluster.world.text).toBe(text)
  expect(cluster.snapshot().config).toMatchObject({ version, text })
  expect(cluster.snapshot().nodes).toHaveLength(2)
})

test('F27/I8: two controllers: agents obey the higher epoch, the other is refused and says so', async () => {
  const cluster = await startCluster()
  const { world } = cluster
  await cluster.run('api', 3)
  const first = world.controller
  const backup = await cluster.settled(first.storage.open().load())
  await cluster.submit({ kind: 'scale', service: 'api', concurrency: 2 })
  await cluster.until(() => cluster.isWhole('api'))

  // The backup is restored on another machine, and the agents are led to it.
  const storage = createFakeStorage({ clock: world.clock })
  const { document, instances, deployments } = backup
  await storage.open().commit({
    ...(document === undefined ? {} : { document }),
    instances: { put: instances, remove: [] },
    deployments: { put: deployments, remove: [] },
    events: [],
  })
  const nothing = { life: undefined, ctld: undefined, committing: undefined }
  const second: ControllerHost = { ...nothing, storage, dataPlane: newDataPlane(), starts: 1 }
  world.controller = second
  world.startController()
  await cluster.until(() => world.controller.ctld !== undefined)
  await cluster.until(() => cluster.snapshot().alive_nodes.length === 3)
  await cluster.until(() => cluster.isWhole('api'))
  expect(cluster.places('api').split(',')).toHaveLength(3)
  const { epoch } = cluster.snapshot()

  // And back to the first, which goes on giving orders: nobody obeys it.
  const starts = cluster.startCount()
  world.controller = first
  await cluster.pass(5_000)
  await cluster.settled(cluster.ctld().submit({ kind: 'scale', service: 'api', concurrency: 6 }))
  await cluster.pass(20_000)
  expect(epoch).toBeGreaterThan(cluster.snapshot().epoch)
  expect(cluster.startCount()).toBe(starts)
  const obeyed = [...world.agents.values()].map(({ agentd }) => agentd?.status().epoch)
  expect(obeyed).toEqual([epoch, epoch, epoch])
  expect(cluster.subjects()).toContain('[tucano] a second controller gives orders to the agents')

  // The second one is stopped and the first one started again: it is the newest now.
  second.life?.end()
  await cluster.restartController()
  await cluster.until(() => cluster.isWhole('api') && cluster.places('api').length === 17)
  await cluster.pass(15_000)
  expect(cluster.subjects().at(-1)).toMatch(/recovered/)
})

function targetsOf(cluster: VirtualCluster) {
  return cluster.world.controller.dataPlane.table.routes.map(({ service, targets }) => [
    service,
    targets.map(({ instance, host, port }) => ({ instance, host, port })),
  ])
}

function stateOf(cluster: VirtualCluster) {
  const { configured_services, active_services, instances, deployments, nodes, config } =
    cluster.snapshot()
  return {
    configured_services,
    active_services: active_services.map(({ service, instances: mine }) => [service, mine]),
    instances,
    deployments,
    nodes: nodes.map(({ name, drained }) => [name, drained]),
    config,
  }
}
