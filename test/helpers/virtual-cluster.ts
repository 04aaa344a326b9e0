// A whole cluster for one scenario: the real controller and real agents on the simulator's virtual
// world. A test says what happens, moves time and asserts; the invariants hold at every step.

import { vi } from 'vitest'
import type { Command, CommandResult } from '#ctld/commands.ts'
import { isFinal } from '#ctld/instance.ts'
import type { Route } from '#ctld/ports.ts'
import type { Ctld, NodeView, Snapshot } from '#ctld/snapshot.ts'
import { TucanoError } from '#shared/errors.ts'
import type { Instance, Service } from '#shared/model.ts'
import type { Behaviour, Start } from '#test/fakes/programs.ts'
import { hostOf } from '#test/sim/agent.ts'
import { CONTROLLER } from '#test/sim/edges.ts'
import { violationsNow } from '#test/sim/invariants.ts'
import { createSimWorld, type SimWorld } from '#test/sim/world.ts'
import { configOf } from './cluster.ts'
import { randomOf } from './seeds.ts'

// Minutes of virtual time are seconds of a busy machine.
vi.setConfig({ testTimeout: 60_000 })

/** By default a node is suspect after 6 s of silence and dead after about 8 s (Q04). */
export const LIVENESS_MS = 8_000
/** R: the bound within which a death is known. */
export const DETECTED_MS = LIVENESS_MS + 1_000
/** Three restart attempts, 5 s apart, and what happens within 10 s more goes into one mail. */
export const MAILED_MS = DETECTED_MS + 15_000 + 10_000 + 1_000

export type ClusterOptions = {
  workers?: number
  /** Agents that exist beside the topology. */
  unlisted?: number
  seed?: number
  /** More keys of one worker in the topology: `restart: {…}`. */
  worker?: string
  /** More keys of the controller's configuration, as YAML. */
  keys?: string
  /** Workers whose agent is not started. */
  absent?: readonly string[]
  behave?: (start: Start) => Behaviour
}

export type VirtualCluster = ReturnType<typeof assemble>

export function topologyOf(names: readonly string[], options: ClusterOptions = {}): string {
  const more = options.worker === undefined ? '' : `, ${options.worker}`
  const workers = names.map(
    (name) =>
      `  - { name: ${name}, kind: worker, ip: 10.0.1.${Number(name.slice(1)) + 10}${more} }`,
  )
  return [
    'topology:',
    `  - { name: ${CONTROLLER}, kind: ctl, ip: 10.0.0.1 }`,
    ...workers,
    'store: { folder: /data }',
    options.keys ?? '',
    '',
  ].join('\n')
}

/** Boots it; every agent that is not absent has reported when it resolves. */
export async function startCluster(options: ClusterOptions = {}): Promise<VirtualCluster> {
  const count = options.workers ?? 3
  const names = namesOf(count)
  const world = createSimWorld(randomOf(options.seed ?? 1), {
    workers: count + (options.unlisted ?? 0),
    topology: topologyOf(names, options),
  })
  world.brokenImageShare = 0
  if (options.behave !== undefined) world.behave = options.behave
  const cluster = assemble(world)
  world.startController()
  const present = [...world.agents.keys()].filter((name) => !options.absent?.includes(name))
  for (const name of present) world.startAgent(name)
  const awaited = present.filter((name) => names.includes(name))
  await cluster.until(
    () => world.controller.ctld !== undefined && awaited.every((name) => cluster.isAlive(name)),
  )
  return cluster
}

export function namesOf(count: number, from = 1): string[] {
  return Array.from({ length: count }, (_, index) => `w${index + from}`)
}

function assemble(world: SimWorld) {
  const { clock, network } = world

  function ctld(): Ctld {
    const running = world.controller.ctld
    if (running === undefined) throw new Error('the controller does not run')
    return running
  }

  function check(): void {
    const violation = violationsNow(world)[0]
    if (violation !== undefined) throw new Error(violation)
    if (world.bugs[0] !== undefined) throw world.bugs[0]
  }

  async function pass(ms: number): Promise<void> {
    const end = clock.now() + ms
    while (await clock.runNext(end)) check()
    await clock.advance(Math.max(0, end - clock.now()))
  }

  async function until(isDone: () => boolean, limitMs = 60_000): Promise<number> {
    const start = clock.now()
    await clock.settle()
    while (!isDone()) {
      if (!(await clock.runNext(start + limitMs))) {
        const last = world.trace.slice(-15).map(({ at, text }) => `${at / 1_000} ${text}`)
        throw new Error(`not so within ${limitMs} virtual ms\n${last.join('\n')}`)
      }
      check()
    }
    return clock.now() - start
  }

  async function settled<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false
    const note = () => {
      isSettled = true
    }
    promise.then(note, note)
    await until(() => isSettled, 10_000)
    return promise
  }

  const snapshot = (): Snapshot => ctld().snapshot()
  const submit = (command: Command): Promise<CommandResult> => settled(ctld().submit(command))

  const cluster = {
    world,
    clock,
    ctld,
    snapshot,
    submit,
    settled,
    /** Moves time; every step is held against the invariants. */
    pass,
    /** Moves time until it is so; answers how long that took. */
    until,

    deploy: (name: string, concurrency: number, extra: object = {}) =>
      submit({ kind: 'deploy', config: configOf(name, concurrency, extra) }),

    /** Deploys and waits until all of it serves. */
    async run(name: string, concurrency: number, extra: object = {}): Promise<void> {
      await cluster.deploy(name, concurrency, extra)
      await until(() => cluster.isWhole(name))
    },

    async refusal(command: Command): Promise<TucanoError> {
      const answer = await submit(command).catch((error: unknown) => error)
      if (answer instanceof TucanoError) return answer
      throw new Error('accepted what it should refuse')
    },

    service(name: string): Service {
      const service = snapshot().configured_services.find((one) => one.name === name)
      if (service === undefined) throw new Error(`no service ${name}`)
      return service
    },

    node(name: string): NodeView {
      const node = snapshot().nodes.find((one) => one.name === name)
      if (node === undefined) throw new Error(`no node ${name}`)
      return node
    },

    isAlive: (name: string) =>
      world.controller.ctld !== undefined && cluster.node(name).state === 'alive',

    route(name: string): Route | undefined {
      return world.controller.dataPlane.table.routes.find(({ service }) => service === name)
    },

    /** Nodes that its requests reach, sorted. */
    routed: (name: string) =>
      (cluster.route(name)?.targets ?? []).map(({ node }) => node).toSorted(),

    /** Exactly its concurrency is held, serves and is routed to. */
    isWhole(name: string): boolean {
      const { config, desired } = cluster.service(name)
      const wanted = desired === 'running' ? config.concurrency : 0
      return cluster.live(name).length === wanted && cluster.routed(name).length === wanted
    },

    /** Instances that are neither final nor on a dead node, in the order they were placed. */
    live(name?: string): Instance[] {
      return snapshot()
        .instances.filter((instance) => !isFinal(instance) && instance.state !== 'lost')
        .filter(({ service }) => name === undefined || service === name)
    },

    finals: (name: string) =>
      snapshot().instances.filter((instance) => isFinal(instance) && instance.service === name),

    /** Nodes of its live instances, in the order they were placed. */
    places: (name: string) =>
      cluster
        .live(name)
        .map(({ node }) => node)
        .join(),

    /** Programs that run on the machine now. */
    programs: (name: string) => hostOf(world, name).machine.running(),

    /** How often any program was started on any machine. */
    startCount: () =>
      [...world.agents.values()].reduce((sum, { machine }) => sum + machine.starts().length, 0),

    /** The machine loses power: its programs and its agent are gone. */
    powerOff: (name: string) => world.killAgent(name, 'power'),
    killAgent: (name: string) => world.killAgent(name, 'kill'),
    startAgent: world.startAgent,

    async restartController(awayMs = 1_000): Promise<void> {
      world.killController('kill')
      await pass(awayMs)
      world.startController()
      await until(() => world.controller.ctld !== undefined)
    },

    /** Nothing gets through between the worker and the controller. */
    cutOff(...names: string[]): void {
      for (const name of names) {
        network.cut(name, CONTROLLER)
        network.cut(CONTROLLER, name)
      }
    },

    subjects: () => world.mails.map(({ subject }) => subject),

    /** Kinds of the cluster's events, oldest first, with what they are about. */
    async history(): Promise<string[]> {
      const events = await settled(ctld().events(0, 10_000))
      return events.map(({ kind, fields }) =>
        `${kind} ${fields.node ?? fields.service ?? ''}`.trim(),
      )
    },
  }
  return cluster
}
