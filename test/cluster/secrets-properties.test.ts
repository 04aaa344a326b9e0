// Whatever is asked and whatever fails, in whatever order: a program runs with the very versions
// that its revision names, and a worker holds no value that none of its instances gets.

import { expect, test } from 'vitest'
import { type Random, randomOf } from '#test/helpers/seeds.ts'
import { startCluster, type VirtualCluster } from '#test/helpers/virtual-cluster.ts'

const STEPS = 12
const names = ['a', 'b', 'c']

test.each(Array.from({ length: 25 }, (_, seed) => seed))(
  'programs have what their revisions name, and workers no more: seed %s',
  async (seed) => {
    const random = randomOf(seed)
    const cluster = await startCluster({ workers: 3, seed })
    /** Every value that was ever set, by name and version. */
    const values = new Map<string, string>()
    for (const name of names) await setOne(cluster, random, values, name)
    for (let step = 0; step < STEPS; step += 1) {
      await change(cluster, random, values)
      await cluster.pass(random.int(0, 4_000))
      expectRight(cluster, values)
    }
    await cluster.pass(60_000)
    expectRight(cluster, values)
    expectNoMoreThanNeeded(cluster)
  },
)

async function change(
  cluster: VirtualCluster,
  random: Random,
  values: Map<string, string>,
): Promise<void> {
  const service = random.pick(['api', 'web'])
  const worker = random.pick(['w1', 'w2', 'w3'])
  const chance = random.int(0, 9)
  if (chance <= 2) return setOne(cluster, random, values, random.pick(names))
  if (chance <= 5) {
    const count = random.int(0, names.length)
    const uses = names.slice(0, count).map((name) => [name, { variable: name.toUpperCase() }])
    await cluster.deploy(service, random.int(1, 3), { secrets: Object.fromEntries(uses) })
  } else if (chance === 6) await orRefused(cluster.submit({ kind: 'restart', service }))
  else if (chance === 7) {
    cluster.killAgent(worker)
    if (random.chance(0.5)) cluster.world.agents.get(worker)?.notebook.vault.lose()
    cluster.startAgent(worker)
  } else if (chance === 8) await cluster.restartController(random.int(0, 3_000))
  else await orRefused(cluster.submit({ kind: 'rollback', service }))
}

async function setOne(
  cluster: VirtualCluster,
  random: Random,
  values: Map<string, string>,
  name: string,
): Promise<void> {
  const value = `value ${random.int(0, 5)} of ${name}`
  const { secret } = await cluster.submit({ kind: 'put_secret', name, value })
  const key = `${name} ${secret?.version}`
  // A number means one value for ever.
  expect(values.get(key) ?? value).toBe(value)
  values.set(key, value)
}

function expectRight(cluster: VirtualCluster, values: ReadonlyMap<string, string>): void {
  const { instances, configured_services } = cluster.snapshot()
  for (const { machine } of cluster.world.agents.values()) {
    for (const { id } of machine.running()) {
      const instance = instances.find((one) => one.id === id)
      const service = configured_services.find(({ name }) => name === instance?.service)
      const entry = service?.revisions.find(({ revision }) => revision === instance?.revision)
      const env = machine.starts().findLast((start) => start.id === id)?.env ?? {}
      for (const name of Object.keys(entry?.config.secrets ?? {})) {
        const version = entry?.secrets?.[name]
        expect(env[name.toUpperCase()], `${id}: ${name} ${version}`).toBe(
          values.get(`${name} ${version}`),
        )
      }
    }
  }
}

function expectNoMoreThanNeeded(cluster: VirtualCluster): void {
  const { configured_services } = cluster.snapshot()
  for (const { name, notebook } of cluster.world.agents.values()) {
    const needed = cluster.live().flatMap((instance) => {
      const service = configured_services.find((one) => one.name === instance.service)
      const entry = service?.revisions.find(({ revision }) => revision === instance.revision)
      return instance.node === name ? Object.entries(entry?.secrets ?? {}) : []
    })
    const wanted = new Set(needed.map(([secret, version]) => `${secret} ${version}`))
    const held = notebook.vault.values.map((one) => `${one.name} ${one.version}`)
    expect(held.toSorted(), name).toEqual([...wanted].toSorted())
  }
}

async function orRefused(asked: Promise<unknown>): Promise<void> {
  // There may be nothing to restart, or to go back to.
  await asked.catch(() => undefined)
}
