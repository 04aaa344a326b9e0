// What is foreseen is what is then done, by whatever strategy, and foreseeing changes nothing.

import { expect, test } from 'vitest'
import { foldNodeState } from '#ctld/discovery/fold-node.ts'
import { scratchOf } from '#ctld/discovery/scratch.ts'
import {
  FORECAST_ACTIONS_MAX,
  type Forecast,
  type Foreseen,
  forecastOf,
  placesOf,
} from '#ctld/forecast.ts'
import { foldWhatIf, type WhatIf } from '#ctld/what-if.ts'
import { TucanoError } from '#shared/errors.ts'
import { configOf } from '#test/helpers/cluster.ts'
import { createRealWorld, type RealWorld, type Taken } from '#test/helpers/real-world.ts'
import { forEachSeed, type Random } from '#test/helpers/seeds.ts'

function foresee({ world, routed, now }: RealWorld, whatIf: WhatIf): Forecast {
  const scratch = scratchOf(world)
  const before = placesOf(world)
  foldWhatIf(scratch, whatIf, now)
  return forecastOf(scratch, { routed, isDurable: true, before }, now)
}

/** undefined: it is refused, and then in earnest too (a rollback without a former revision). */
function foreseeOrRefuse(real: RealWorld, whatIf: WhatIf): Forecast | undefined {
  try {
    return foresee(real, whatIf)
  } catch (error) {
    if (!(error instanceof TucanoError)) throw error
    expect(() => foldWhatIf(scratchOf(real.world), whatIf, real.now)).toThrow(error.message)
    return undefined
  }
}

/** Each service's actions in order; instances that are new are counted as they appear. */
function told(actions: readonly (Foreseen | Taken)[]): Record<string, string[]> {
  const born = new Map<string, string>()
  const lines: Record<string, string[]> = {}
  for (const one of actions) {
    const { kind, why } = 'action' in one ? one.action : one
    const id = one.instance ?? ''
    if (kind === 'place') born.set(id, `new ${born.size}`)
    const said = why.replace(/\b(new-|i)\d{6}\b/, (other) => born.get(other) ?? other)
    // When a request ends, and so a stop, is nobody's decision.
    const list = kind === 'stop' ? `${one.service} stops` : one.service
    lines[list] = [
      ...(lines[list] ?? []),
      `${kind} ${born.get(id) ?? id} ${one.node ?? ''} ${said}`,
    ]
  }
  for (const [name, list] of Object.entries(lines)) if (name.endsWith('stops')) list.sort()
  return lines
}

function randomConfig(random: Random, name: string) {
  const isStatic = random.chance(0.2)
  const strategy = random.pick(['rolling', 'rolling', 'recreate', 'blue_green', 'canary'])
  const least = strategy === 'canary' ? 2 : 1
  const extra = {
    env: { V: String(random.int(1, 1_000)) },
    update: {
      strategy,
      min_healthy: random.pick(['0s', '5s']),
      ...(strategy === 'rolling' && random.chance(0.2) ? { max_surge: 0 } : {}),
      ...(strategy === 'canary' ? { steps: [25, 75], pause: '20s' } : {}),
    },
    priority: random.pick([50, 50, 80]),
    ...(isStatic ? { host_port: 'static', port: random.int(8_000, 8_002) } : {}),
    ...(!isStatic && random.chance(0.3) ? { max_per_node: random.int(1, 3) } : {}),
    ...(random.chance(0.3) ? { placement: 'least_loaded' } : {}),
    ...(random.chance(0.2) ? { constraints: [{ label: 'zone', in: ['a'] }] } : {}),
    ...(random.chance(0.2) ? { limits: { memory: '3GiB' } } : {}),
  }
  return configOf(name, random.int(least, 6), extra)
}

function randomWorld(random: Random): RealWorld {
  const nodes = ['w1', 'w2', 'w3', 'w4', 'w5'].slice(0, random.int(2, 5))
  const real = createRealWorld(
    nodes.map((name) => ({ name, labels: `{zone: ${random.pick(['a', 'a', 'b'])}}` })),
  )
  for (const name of ['api', 'job', 'web'].slice(0, random.int(1, 3))) {
    real.command({ kind: 'deploy', config: randomConfig(random, name) })
    // Some are still under way when the question is asked.
    if (random.chance(0.8)) real.run()
  }
  return real
}

function randomQuestion(random: Random, { world }: RealWorld): WhatIf {
  const services = world.tables.services.values().map(({ name }) => name)
  const nodes = world.tables.nodes.values().map(({ name }) => name)
  const service = random.pick(services)
  switch (random.int(1, 9)) {
    case 1:
      return { commands: [{ kind: 'scale', service, concurrency: random.int(0, 8) }] }
    case 2:
      return { commands: [{ kind: random.pick(['stop', 'remove', 'start'] as const), service }] }
    case 3:
      return { commands: [{ kind: 'drain', node: random.pick(nodes) }] }
    case 4:
      return { kill: random.shuffle(nodes).slice(0, random.int(1, 2)) }
    case 5: {
      const kind = random.pick(['cordon', 'drain', 'undrain'] as const)
      const node = random.pick(nodes)
      // And then it is scaled, so that the closed one is asked for.
      return {
        commands: [
          { kind, node },
          { kind: 'scale', service, concurrency: 6 },
        ],
      }
    }
    case 6:
      return { commands: [{ kind: random.pick(['rollback', 'restart'] as const), service }] }
    case 7:
      return { add: [{ name: 'w9', labels: {} }], kill: [random.pick(nodes)] }
    default:
      return { commands: [{ kind: 'deploy', config: randomConfig(random, service) }] }
  }
}

/** Everything that a forecast could have touched. */
const stateOf = ({ world, routed }: RealWorld) =>
  structuredClone({
    tables: Object.fromEntries(
      (['services', 'instances', 'deployments', 'nodes', 'facts'] as const).map((name) => [
        name,
        { rows: world.tables[name].values(), changes: world.tables[name].changes() },
      ]),
    ),
    seen: [...world.seen],
    news: world.news,
    occurrences: world.occurrences,
    config: world.config,
    routed: [...routed],
  })

test(
  'what is foreseen is then done, action by action, and foreseeing it changed nothing',
  forEachSeed(120, (random) => {
    const real = randomWorld(random)
    const whatIf = randomQuestion(random, real)
    const before = stateOf(real)
    const forecast = foreseeOrRefuse(real, whatIf)
    if (forecast === undefined) return
    expect(stateOf(real)).toEqual(before)
    expect(forecast.cutBy).toBe(null)

    foldWhatIf(real.world, whatIf, real.now)
    // Which of two waits is over first may be another with other times; the rest may not.
    const stopMs = random.int(1, 400)
    const done = real.run({ startMs: random.int(600, 4_000), drainMs: random.int(0, 90), stopMs })
    expect(told(forecast.actions)).toEqual(told(done))
    const places = Object.fromEntries(forecast.services.map((one) => [one.service, one.after]))
    const now = placesOf(real.world)
    for (const [service, nodes] of Object.entries(places)) {
      expect(nodes).toEqual(now.get(service) ?? {})
    }
  }),
)

test('a worker that joins has the size and the isolation of the first that is alive', () => {
  const real = createRealWorld([{ name: 'w1' }])
  const config = configOf('api', 4, { limits: { memory: '3GiB' } })
  real.command({ kind: 'deploy', config })
  real.run()
  expect(placesOf(real.world).get('api')).toEqual({ w1: 2 })
  const { services, pending } = foresee(real, { add: [{ name: 'w9', labels: {} }] })
  expect([services[0]?.after, pending]).toEqual([{ w1: 2, w9: 2 }, []])
})

test('a worker that is silent is not supposed to start what it was told to', () => {
  const real = createRealWorld([{ name: 'w1' }])
  real.command({ kind: 'deploy', config: configOf('api', 1) })
  real.run()
  const { instances } = real.world.tables
  for (const { healthyAt: _, ...one } of instances.values()) {
    instances.put(one.id, { ...one, state: 'deploying', healthy: false, admitted: false })
  }
  const admitted = () => foresee(real, {}).actions.filter(({ kind }) => kind === 'admit').length
  expect(admitted()).toBe(1)
  foldNodeState(real.world, 'w1', 'suspect', 'silent', real.now)
  expect(admitted()).toBe(0)
})

test('what never comes to rest is cut off, and says so', () => {
  const real = createRealWorld([{ name: 'w1' }])
  real.command({ kind: 'deploy', config: configOf('api', 2) })
  const { world, routed, now } = real
  const before = placesOf(world)
  const far = forecastOf(scratchOf(world), { routed, isDurable: true, before }, now)
  expect([far.cutBy, far.actions.length]).toEqual([null, 4])
  const more = Array.from({ length: 12 }, (_, index) => ({ name: `w${index + 2}`, labels: {} }))
  const commands = Array.from({ length: 3 }, (_, index) => ({
    ...{ kind: 'deploy', config: configOf(`s${index}`, 1_000) },
  })) as WhatIf['commands']
  const big = foresee(real, { add: more, commands: commands ?? [] })
  expect([big.cutBy, big.actions.length]).toEqual(['actions', FORECAST_ACTIONS_MAX])
})
