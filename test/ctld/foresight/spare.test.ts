// N-1: what the warning says is what the planner would do, and it is said only when it has held.

import { expect, test } from 'vitest'
import { spareFactsOf } from '#ctld/deployer/deployer.ts'
import { lookoutFrom } from '#ctld/deployer/spare.ts'
import { scratchOf } from '#ctld/discovery/scratch.ts'
import { setFacts } from '#ctld/discovery/world.ts'
import { forecastOf, placesOf } from '#ctld/forecast.ts'
import { createSpareWatch, SPARE_AFTER_MS } from '#ctld/spare-watch.ts'
import { foldWhatIf } from '#ctld/what-if.ts'
import { configOf } from '#test/helpers/cluster.ts'
import { createRealWorld, type RealWorld } from '#test/helpers/real-world.ts'
import { forEachSeed } from '#test/helpers/seeds.ts'

const NODES = ['w1', 'w2', 'w3', 'w4']
const named = (count: number) => NODES.slice(0, count).map((name) => ({ name }))

function deploy(real: RealWorld, name: string, concurrency: number, extra = {}): void {
  real.command({ kind: 'deploy', config: configOf(name, concurrency, extra) })
  real.run()
}

const lacksOf = (real: RealWorld, ...lost: string[]) =>
  (lost.length === 0 ? NODES : lost).flatMap(lookoutFrom(spareFactsOf(real.world)))

test('a lack is foretold for a worker where its death would leave something unplaced', () => {
  let lackCount = 0
  forEachSeed(150, (random) => {
    const count = random.int(2, 4)
    const real = createRealWorld(
      named(count).map((node) => ({ ...node, labels: `{zone: ${random.pick(['a', 'b'])}}` })),
    )
    for (const name of ['api', 'job', 'web']) {
      deploy(real, name, random.int(0, 4), {
        max_per_node: random.int(1, 4),
        limits: { memory: random.pick(['1GiB', '2GiB', '3GiB']) },
        ...(random.chance(0.2) ? { host_port: 'static', max_per_node: 1 } : {}),
      })
    }
    const { world, routed, now } = real
    const [node] = random.shuffle(NODES.slice(0, count))
    if (node === undefined) return
    const places = placesOf(world)
    const scratch = scratchOf(world)
    foldWhatIf(scratch, { kill: [node] }, now)
    const after = forecastOf(scratch, { routed, isDurable: true, before: places }, now)
    // What has no place already is another matter.
    const wanted = (name: string) => world.tables.services.get(name)?.config.concurrency ?? 0
    const total = (held: Readonly<Record<string, number>> = {}) =>
      Object.values(held).reduce((sum, one) => sum + one, 0)
    const expected = ['api', 'job', 'web'].filter((name) => {
      const isWhole = total(places.get(name)) === wanted(name)
      return isWhole && after.pending.some(({ service }) => service === name)
    })
    const told = lacksOf(real, node).map(({ service }) => service)
    const whole = told.filter((name) => total(places.get(name)) === wanted(name))
    expect(whole.toSorted()).toEqual(expected)
    lackCount += expected.length
  })()
  if (process.env.SEED === undefined) expect(lackCount).toBeGreaterThan(30)
})

test('it says which worker, how many and why', () => {
  const real = createRealWorld(named(3))
  deploy(real, 'api', 3, { max_per_node: 1 })
  deploy(real, 'web', 3)
  const why = (lost: string) =>
    `${NODES.slice(0, 3)
      .filter((name) => name !== lost)
      .join(', ')}: has 1 already (max_per_node 1)`
  expect(lacksOf(real, 'w2')).toMatchObject([{ service: 'api', node: 'w2', count: 1 }])
  expect(lacksOf(real, 'w2')[0]?.why).toContain(why('w2'))
  expect(lacksOf(real).map(({ node }) => node)).toEqual(['w1', 'w2', 'w3'])
})

test('what its own configuration binds to a worker is not counted', () => {
  const real = createRealWorld(named(2))
  deploy(real, 'api', 1, { constraints: [{ label: 'node', in: ['w1'] }] })
  deploy(real, 'db', 1, { sticky: { node: true } })
  expect(lacksOf(real)).toEqual([])
})

test('a service whose deployment is under way is not judged', () => {
  const real = createRealWorld(named(2))
  deploy(real, 'api', 2, { max_per_node: 1 })
  expect(lacksOf(real)).toHaveLength(2)
  const { deployments } = real.world.tables
  for (const one of deployments.values()) deployments.put(one.id, { ...one, state: 'deploying' })
  expect(lacksOf(real)).toEqual([])
})

test('an instance that is too many would not be missed', () => {
  const real = createRealWorld(named(2))
  deploy(real, 'api', 1, { max_per_node: 1 })
  const { instances } = real.world.tables
  const [one] = instances.values()
  if (one === undefined) throw new Error('nothing runs')
  instances.put('extra', { ...one, id: 'extra', node: 'w2' })
  expect(lacksOf(real)).toEqual([])
})

test('looking leaves the facts as they were, one worker after the other', () => {
  const real = createRealWorld(named(3))
  deploy(real, 'api', 4, { max_per_node: 2, limits: { memory: '3GiB' } })
  const together = lacksOf(real)
  expect(NODES.flatMap((name) => lacksOf(real, name))).toEqual(together)
})

function watched(real: RealWorld) {
  const watch = createSpareWatch()
  let version = 0
  const told: string[] = []
  return {
    told,
    spare: watch.spare,
    /** Facts changed, and so much time passed. */
    after(ms: number): string[] {
      real.now += ms
      version += 1
      watch.watch(real.world, String(version), real.now)
      for (const { incident, what, subject } of real.world.occurrences.splice(0)) {
        if (incident === 'no_spare') told.push(`${what} ${subject}`)
      }
      return told
    },
  }
}

test('a lack is told of when it has held for a minute, and not before', () => {
  const real = createRealWorld(named(2))
  deploy(real, 'api', 2, { max_per_node: 1 })
  const watch = watched(real)
  expect(watch.after(0)).toEqual([])
  expect(watch.spare().state).toBe('lacking')
  expect(watch.after(SPARE_AFTER_MS - 1)).toEqual([])
  expect(watch.after(1_001)).toEqual(['begins api'])
})

test('a lack that comes and goes within a minute is not told of', () => {
  const real = createRealWorld(named(2))
  const watch = watched(real)
  for (let round = 0; round < 10; round += 1) {
    deploy(real, 'api', round % 2 === 0 ? 2 : 1, { max_per_node: 1 })
    watch.after(SPARE_AFTER_MS / 2)
  }
  expect(watch.told).toEqual([])
})

test('it looks at most once a second, and only when facts changed', () => {
  const real = createRealWorld(named(2))
  deploy(real, 'api', 2)
  const watch = watched(real)
  watch.after(0)
  expect(watch.spare().state).toBe('ok')
  real.command({ kind: 'deploy', config: configOf('api', 2, { max_per_node: 1 }) })
  real.run({ startMs: 10, drainMs: 0, stopMs: 1 })
  watch.after(0)
  expect(watch.spare().state).toBe('ok')
  watch.after(1_000)
  expect(watch.spare().state).toBe('lacking')
})

test('a single worker and a freeze are no reason to warn', () => {
  const real = createRealWorld(named(3))
  deploy(real, 'api', 3, { max_per_node: 1 })
  const watch = watched(real)
  watch.after(0)
  setFacts(real.world, { frozen: { since: real.now, nodes: ['w1', 'w2'] } })
  watch.after(2 * SPARE_AFTER_MS)
  watch.after(2 * SPARE_AFTER_MS)
  expect([watch.spare().state, watch.told]).toEqual(['unknown', []])
  setFacts(real.world, { frozen: null })
  foldWhatIf(real.world, { kill: ['w1'] }, real.now)
  foldWhatIf(real.world, { kill: ['w2'] }, real.now)
  setFacts(real.world, { frozen: null })
  watch.after(2 * SPARE_AFTER_MS)
  watch.after(2 * SPARE_AFTER_MS)
  expect([watch.spare().state, watch.told]).toEqual(['single', []])
})
