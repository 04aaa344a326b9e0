// One history by seed: a cluster is told things and broken in every way for a while, then left in
// peace. The invariants are looked at after every step.

import type { Command } from '#ctld/commands.ts'
import { messageOf, TucanoError } from '#shared/errors.ts'
import { configOf } from '#test/helpers/cluster.ts'
import { type Random, randomOf } from '#test/helpers/seeds.ts'
import { hostOf } from './agent.ts'
import { CONTROLLER } from './edges.ts'
import { healthKeys, makeSick } from './health.ts'
import { lostPromises, unsettled, violationsNow } from './invariants.ts'
import { CALM } from './network.ts'
import { createSimWorld, type Sabotage, type SimWorld } from './world.ts'

/** What a user was promised of a service, and what else may have become true unanswered. */
export type Declared = { acknowledged: string; maybe: string[] }

export type Outcome = { seed: number; violation: string | undefined; world: SimWorld }

const updateRules = [
  { strategy: 'rolling' },
  { strategy: 'rolling' },
  { strategy: 'rolling', min_healthy: '2s' },
  { strategy: 'recreate' },
  { strategy: 'blue_green', min_healthy: '1s' },
  { strategy: 'canary', min_healthy: '1s', pause: '3s' },
] as const
type UpdateRule = (typeof updateRules)[number]

const FAULT_MS_MAX = 90_000
/** Within this after the faults everything declared serves again. */
export const PEACE_MS_MAX = 240_000

export async function runScenario(seed: number, sabotage?: Sabotage): Promise<Outcome> {
  const random = randomOf(seed)
  const workers = random.int(2, 4)
  const world = createSimWorld(random, {
    workers,
    ...(sabotage === undefined ? {} : { sabotage }),
  })
  const declared = new Map<string, Declared>()
  world.behave = () => behaviour(random)
  // Some requests take longer than a controller needs to be started again.
  world.requestMs = () => random.random() * (random.chance(0.2) ? 10_000 : 200)
  world.startController()
  for (const name of world.agents.keys()) world.startAgent(name)
  const user = createUser(world, declared)
  await runUntil(world, 1_000)
  user.act('deploy')
  user.act('deploy')

  const faultsEnd = random.int(20_000, FAULT_MS_MAX)
  const chaos = createChaos(world)
  let nextFaultAt = random.int(1_500, 8_000)
  let nextCommandAt = random.int(3_000, 9_000)
  while (world.clock.now() < faultsEnd) {
    const until = Math.min(nextFaultAt, nextCommandAt, faultsEnd)
    const violation = await runUntil(world, until)
    if (violation !== undefined) return { seed, violation, world }
    if (world.clock.now() >= nextFaultAt) {
      chaos.strike()
      nextFaultAt = world.clock.now() + random.int(300, 9_000)
    }
    if (world.clock.now() >= nextCommandAt) {
      user.act()
      nextCommandAt = world.clock.now() + random.int(1_000, 15_000)
    }
  }
  return { seed, violation: await makePeace(world, chaos, declared), world }
}

/** Everything is mended; then what is declared has to serve within PEACE_MS_MAX. */
async function makePeace(
  world: SimWorld,
  chaos: Chaos,
  declared: ReadonlyMap<string, Declared>,
): Promise<string | undefined> {
  world.note('the faults stop')
  chaos.mend()
  world.behave = () => ({ healthyAfterMs: 50, termMs: 10 })
  const end = world.clock.now() + PEACE_MS_MAX
  let left: string[] = []
  while (world.clock.now() < end) {
    const violation = await runUntil(world, world.clock.now() + 2_000)
    if (violation !== undefined) return violation
    left = unsettled(world)
    const lost = lostPromises(world, declared)
    if (lost.length > 0) return lost[0]
    if (left.length === 0) return undefined
  }
  return left[0]
}

async function runUntil(world: SimWorld, until: number): Promise<string | undefined> {
  while (await world.clock.runNext(until)) {
    const violation = violationsNow(world)[0]
    if (violation !== undefined) return violation
    const bug = world.bugs[0]
    if (bug !== undefined) return `bug: ${bug instanceof Error ? bug.stack : String(bug)}`
  }
  await world.clock.advance(Math.max(0, until - world.clock.now()))
  return undefined
}

function behaviour(random: Random) {
  return {
    healthyAfterMs: random.int(10, 3_000),
    termMs: random.chance(0.1) ? Number.POSITIVE_INFINITY : random.int(5, 2_000),
    ...(random.chance(0.05) ? { endsAfterMs: random.int(5, 60_000), code: 1 } : {}),
    ...(random.chance(0.1) ? { leavesChild: true } : {}),
  }
}

type Chaos = { strike(): void; mend(): void }

function createChaos(world: SimWorld): Chaos {
  const { random, network, agents, controller, clock } = world
  const names = [...agents.keys()]
  const any = () => hostOf(world, random.pick(names))

  function later(ms: number, call: () => void): void {
    clock.after(ms, call)
  }

  const faults: (() => void)[] = [
    () => {
      world.killController('kill')
      // Mostly at once, as its supervisor does: what was under way still is.
      later(random.int(20, random.chance(0.7) ? 500 : 20_000), world.startController)
    },
    () => {
      world.killController('power')
      later(random.int(1_000, 20_000), world.startController)
    },
    () => {
      const { name } = any()
      world.killAgent(name, 'kill')
      later(random.int(50, 25_000), () => world.startAgent(name))
    },
    () => {
      const { name } = any()
      world.killAgent(name, 'power')
      later(random.int(2_000, 30_000), () => world.startAgent(name))
    },
    () => {
      const running = any().machine.running()
      if (running.length === 0) return
      const program = random.pick(running)
      world.note(`kill -9 of program ${program.id}`)
      for (const host of agents.values()) host.machine.kill(program.id)
    },
    () => {
      const { name } = any()
      const way = random.pick(['to', 'from', 'both'] as const)
      world.note(`${name} is cut off (${way})`)
      if (way !== 'to') network.cut(name, CONTROLLER)
      if (way !== 'from') network.cut(CONTROLLER, name)
    },
    () => {
      world.note('the network heals')
      network.heal()
    },
    () => {
      network.weather = {
        lossShare: random.pick([0, 0.05, 0.3]),
        doubleShare: random.pick([0, 0.1, 0.5]),
        delayMsMax: random.pick([3, 100, 3_000]),
      }
      world.note(`weather ${JSON.stringify(network.weather)}`)
    },
    () => {
      const { life } = controller
      world.note('the controller stands still')
      life?.pause()
      later(random.int(500, 60_000), () => life?.resume())
    },
    () => {
      const { life, name } = any()
      world.note(`agent ${name} stands still`)
      life?.pause()
      later(random.int(500, 30_000), () => life?.resume())
    },
    () => {
      const full = random.chance(0.5)
      world.note(full ? "the controller's disk is full" : "the controller's disk has space")
      controller.storage.setFull(full)
    },
    () => {
      const jump = random.pick([3_600_000, -3_600_000])
      world.note(`the wall clock jumps by ${jump} ms`)
      clock.jumpWall(jump)
    },
    () => makeSick(world),
  ]

  return {
    strike() {
      random.pick(faults)()
    },
    mend() {
      network.heal()
      network.weather = CALM
      controller.storage.setFull(false)
      controller.life?.resume()
      world.startController()
      for (const { name, life } of agents.values()) {
        life?.resume()
        world.startAgent(name)
      }
    },
  }
}

/** A user who deploys, scales, stops and removes, and remembers what was acknowledged. */
function createUser(world: SimWorld, declared: Map<string, Declared>) {
  const { random } = world
  let version = 0
  /** One strategy for each service: what holds of it holds of the whole history. */
  const rules = new Map<string, UpdateRule>()

  function rulesFor(name: string): UpdateRule {
    const known = rules.get(name) ?? random.pick(updateRules)
    rules.set(name, known)
    return known
  }

  function commandOf(kind: string, name: string): { command: Command; becomes: string } {
    version += 1
    const concurrency = random.int(0, 4)
    const is = (declared.get(name)?.acknowledged ?? 'absent').split(' ')
    switch (kind) {
      case 'deploy': {
        const env = { V: String(version) }
        const rules = rulesFor(name)
        const count = rules.strategy === 'canary' && concurrency === 1 ? 2 : concurrency
        const config = configOf(name, count, { env, update: rules, ...healthKeys(random) })
        return { command: { kind: 'deploy', config }, becomes: `running ${count} ${version}` }
      }
      case 'scale':
        return {
          command: { kind: 'scale', service: name, concurrency },
          becomes: `${is[0]} ${concurrency} ${is[2]}`,
        }
      case 'stop':
        return { command: { kind: 'stop', service: name }, becomes: `stopped ${is[1]} ${is[2]}` }
      case 'start':
        return { command: { kind: 'start', service: name }, becomes: `running ${is[1]} ${is[2]}` }
      default:
        return { command: { kind: 'remove', service: name }, becomes: 'absent' }
    }
  }

  return {
    act(kind?: string) {
      const { ctld } = world.controller
      if (ctld === undefined) return
      const name = `s${random.int(1, 2)}`
      const was = declared.get(name) ?? { acknowledged: 'absent', maybe: [] }
      // Unanswered commands make what a relative one becomes a guess: only whole ones then.
      const kinds = ['deploy', 'deploy', 'scale', 'stop', 'start', 'remove']
      const chosen = kind ?? (was.maybe.length > 0 ? 'deploy' : random.pick(kinds))
      const { command, becomes } = commandOf(chosen, name)
      world.note(`user: ${chosen} ${name} → ${becomes}`)
      declared.set(name, { ...was, maybe: [...was.maybe, becomes] })
      ctld.submit(command).then(
        () => {
          const now = declared.get(name)
          if (now === undefined) return
          world.note(`acknowledged: ${name} is ${becomes}`)
          const later = now.maybe.slice(now.maybe.indexOf(becomes) + 1)
          declared.set(name, { acknowledged: becomes, maybe: later })
        },
        (error: unknown) => {
          world.note(`refused: ${messageOf(error)}`)
          const now = declared.get(name)
          // A commit that failed half way may still be on disk when the controller dies (F02).
          const isCertain = error instanceof TucanoError && error.code !== 'store_failed'
          if (now === undefined || !isCertain) return
          const maybe = now.maybe.filter((one) => one !== becomes)
          declared.set(name, { ...now, maybe })
        },
      )
    },
  }
}
