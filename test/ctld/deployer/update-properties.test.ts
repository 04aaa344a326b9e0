// What holds in every plan of every update, whatever is commanded and whatever fails meanwhile.

import { describe, expect, test } from 'vitest'
import { goalOf } from '#ctld/deployer/canary.ts'
import { hasPlace, isFinal } from '#ctld/instance.ts'
import { isCurrent, programOf } from '#ctld/revision.ts'
import type { Instance } from '#shared/model.ts'
import type { Cluster } from '#test/helpers/cluster.ts'
import { forEachSeed } from '#test/helpers/seeds.ts'
import { NAME, type Step, type Turmoil, turmoilOf } from '#test/helpers/turmoil.ts'

const SEEDS = 30
const STEPS = 50
/** A canary needs two. */
const LEAST = 2

const strategies = {
  rolling: { update: { min_healthy: '5s' } },
  'rolling without surge': { update: { min_healthy: '5s', max_surge: 0 } },
  exclusive: { exclusive: true, update: { min_healthy: '2s' } },
  recreate: { update: { strategy: 'recreate' } },
  blue_green: { update: { strategy: 'blue_green', min_healthy: '5s' } },
  canary: { update: { strategy: 'canary', min_healthy: '1s', pause: '3s' } },
}
const all = Object.entries(strategies)
const startFirst = all.filter(([name]) => ['rolling', 'blue_green', 'canary'].includes(name))

describe.each(all)('%s', (_, rules) => {
  test(
    'reaches what is declared, of one program, and keeps nothing else',
    forEachSeed(SEEDS, (random) => {
      const turmoil = turmoilOf(random, rules, LEAST)
      for (let step = 0; step < STEPS; step += 1) {
        turmoil.happen()
        turmoil.plan()
      }
      turmoil.calm()
      const { world } = turmoil
      const service = world.service(NAME)
      expect(world.serving(NAME)).toHaveLength(service.config.concurrency)
      expect(world.live(NAME)).toHaveLength(service.config.concurrency)
      for (const instance of world.live(NAME)) expect(isCurrent(service, instance)).toBe(true)
      expect(service).not.toHaveProperty('rollout')
    }),
  )

  test(
    'never gives more places than concurrency',
    eachStep(rules, ({ world }) => {
      const service = world.service(NAME)
      const places = world.live(NAME).filter(hasPlace).length
      const limit = service.desired === 'running' ? service.config.concurrency : 0
      expect(places).toBeLessThanOrEqual(limit)
    }),
  )

  test(
    'is the same plan in whatever order the facts are told',
    forEachSeed(SEEDS, (random) => {
      const turmoil = turmoilOf(random, rules, LEAST)
      for (let step = 0; step < STEPS; step += 1) {
        turmoil.happen()
        const before = turmoil.world.plan()
        turmoil.world.instances = new Map(random.shuffle([...turmoil.world.instances]))
        expect(turmoil.world.plan()).toEqual(before)
        turmoil.plan()
      }
    }),
  )
})

describe.each(startFirst)('%s', (_, rules) => {
  test(
    'no plan leaves fewer serving than there were, up to concurrency',
    eachStep(rules, ({ world }, { before, after }) => {
      const service = world.service(NAME)
      if (service.desired !== 'running') return
      const least = Math.min(before.length, service.config.concurrency)
      expect(after.length).toBeGreaterThanOrEqual(least)
    }),
  )

  test(
    'who is admitted in place of another one that serves was healthy for min_healthy',
    eachStep(rules, ({ world }, { before, actions }) => {
      const { config, deployment, desired } = world.service(NAME)
      if (desired !== 'running' || world.deployments.get(deployment)?.kind === 'revert') return
      if (before.length < config.concurrency) return
      const minMs = Number.parseInt(config.update.min_healthy, 10) * 1_000
      for (const action of actions) {
        if (action.kind !== 'admit') continue
        const instance = world.instances.get(action.instance)
        // The one that came back with its node, where the copy goes, changes no program.
        if (instance?.why.startsWith('one of')) continue
        expect(world.now - (instance?.healthyAt ?? world.now)).toBeGreaterThanOrEqual(minMs)
      }
    }),
  )
})

test(
  'recreate: nothing of a program starts while something of another one runs',
  eachStep(strategies.recreate, ({ world }, { actions }) => {
    if (!actions.some(({ kind }) => kind === 'place')) return
    expect(
      programsOf(
        world,
        world.live(NAME).filter(({ state }) => state !== 'lost'),
      ).size,
    ).toBe(1)
  }),
)

test.each([
  ['max_surge 0', strategies['rolling without surge']],
  ['exclusive', strategies.exclusive],
])('%s: nothing is placed while as many run or end as are asked for', (_, rules) => {
  eachStep(rules, ({ world }, { actions }) => {
    if (!actions.some(({ kind }) => kind === 'place')) return
    const there = world.live(NAME).filter(({ state }) => state !== 'lost')
    expect(there.length).toBeLessThanOrEqual(world.service(NAME).config.concurrency)
  })()
})

test(
  'blue_green: two programs never serve at a time',
  eachStep(strategies.blue_green, ({ world }, { after }) => {
    expect(programsOf(world, after).size).toBeLessThanOrEqual(1)
  }),
)

test(
  'canary: nobody gives way beyond the share of its step',
  eachStep(strategies.canary, ({ world }, { before, after }) => {
    const service = world.service(NAME)
    const { rollout, config, desired } = service
    if (rollout === undefined || desired !== 'running') return
    const isNew = (instance: Instance) => isCurrent(service, instance)
    const free = Math.max(0, config.concurrency - before.length)
    const most = Math.max(goalOf(rollout, config.concurrency), before.filter(isNew).length + free)
    expect(after.filter(isNew).length).toBeLessThanOrEqual(most)
  }),
)

function eachStep(rules: object, check: (turmoil: Turmoil, step: Step) => void) {
  return forEachSeed(SEEDS, (random) => {
    const turmoil = turmoilOf(random, rules, LEAST)
    for (let step = 0; step < STEPS; step += 1) {
      turmoil.happen()
      check(turmoil, turmoil.plan())
    }
  })
}

function programsOf(world: Cluster, instances: readonly Instance[]): Set<number> {
  const service = world.service(NAME)
  const live = instances.filter((instance) => !isFinal(instance))
  return new Set(live.map(({ revision }) => programOf(service, revision)))
}
