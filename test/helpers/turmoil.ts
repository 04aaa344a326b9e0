// A service under random commands and random mishaps, for properties that hold of every update.

import type { Action } from '#ctld/deployer/reconcile.ts'
import { isFinal } from '#ctld/instance.ts'
import type { Instance } from '#shared/model.ts'
import { Cluster } from './cluster.ts'
import type { Random } from './seeds.ts'

export const NAME = 'a'

export type Step = { before: Instance[]; after: Instance[]; actions: Action[] }

export type Turmoil = {
  world: Cluster
  /** Something happens: a command, a mishap, or time passes. */
  happen(): void
  /** One plan is obeyed. */
  plan(): Step
  /** The mishaps end: what is declared comes about. */
  calm(): void
}

/** `rules`: of the service's updates, the same in each revision. `least`: of its concurrency. */
export function turmoilOf(random: Random, rules: object, least = 1): Turmoil {
  const names = Array.from({ length: random.int(2, 4) }, (_, at) => `w${at + 1}`)
  const world = new Cluster(...names)
  let version = 1

  const declare = (concurrency: number) =>
    world.declare(NAME, concurrency, { ...rules, env: { VERSION: String(version) } })
  const wanted = () => world.service(NAME).config.concurrency
  const isUp = ({ node }: Instance) =>
    world.nodes.some(({ name, state }) => name === node && state === 'alive')

  const commands = [
    () => {
      version += 1
      declare(wanted())
    },
    () => declare(random.int(least, 5)),
    () => world.revert(NAME),
    () => world.prove(NAME),
    () => world.want(NAME, random.pick(['running', 'running', 'stopped'] as const)),
    () => world.kill(random.pick(names)),
    () => world.revive(random.pick(names)),
    () => world.drain(random.pick(names)),
    () => {
      for (const node of world.nodes) node.drained = false
    },
  ]

  /** What the agents of the living nodes say, one instance at a time. */
  function act(instance: Instance): void {
    const { id, state, healthy, stopTry } = instance
    if (isFinal(instance) || !isUp(instance)) return
    const failure = { error: 'it happens' }
    if (stopTry > 0) world.tell(id, { kind: 'terminated' })
    else if (state === 'deploying' && random.chance(0.1)) {
      world.tell(id, { kind: 'failed_to_start', attempt: instance.attempt, failure })
    } else if (state === 'deploying' || (state === 'started' && !healthy)) {
      world.tell(id, { kind: 'started', port: 20_000, pid: 1, restarts: 0 })
    } else if (state === 'started' && random.chance(0.05)) {
      world.tell(id, { kind: 'unhealthy', phase: 'unhealthy', restarts: 0 })
    } else if (state === 'started' && random.chance(0.03)) {
      world.tell(id, { kind: 'crashed', failure, restarts: 0 })
    }
  }

  declare(random.int(least, 5))
  if (random.chance(0.7)) world.runOut().prove(NAME)
  return {
    world,
    happen() {
      if (random.chance(0.15)) random.pick(commands)()
      for (const instance of world.instances.values()) if (random.chance(0.4)) act(instance)
      const { wakeAt } = world.plan()
      if (random.chance(0.3)) world.now += random.int(1, 6_000)
      else if (random.chance(0.2) && Number.isFinite(wakeAt))
        world.now = Math.max(wakeAt, world.now)
    },
    plan() {
      const before = world.serving(NAME)
      const plan = world.plan()
      world.obey(plan)
      return { before, after: world.serving(NAME), actions: plan.actions }
    },
    calm() {
      for (const { name } of world.nodes) world.revive(name)
      for (const node of world.nodes) node.drained = false
      world.want(NAME, 'running')
      for (const { id, state, healthy } of world.instances.values()) {
        if (state !== 'started' || healthy) continue
        world.tell(id, { kind: 'started', port: 20_000, pid: 1, restarts: 0 })
      }
      // What was given up in the last deployment is not tried again: a new one is.
      declare(wanted())
      world.runOut().prove(NAME).runOut()
    },
  }
}
