// The simulator's world: the real controller and real agents on a virtual clock, network, disk
// and process table. It knows how to break things and how to look; what is broken when is told
// by scenario.ts, what must hold by invariants.ts.

import { type Agentd, createAgentd } from '#agentd/agentd.ts'
import { reportTimeoutMs } from '#agentd/controller-client.io.ts'
import { type Boot, createCtld } from '#ctld/ctld.ts'
import type { DataPlane, Observation, RouteTable } from '#ctld/ports.ts'
import type { Ctld } from '#ctld/snapshot.ts'
import type { ControllerConfig, NodeMetrics } from '#shared/model.ts'
import { parseTopology } from '#shared/topology.ts'
import type { Assignment, OrderAnswer } from '#shared/wire.ts'
import { createVirtualClock, type VirtualClock } from '#test/fakes/clock.ts'
import { createFakeNotebook, type FakeNotebook } from '#test/fakes/notebook.ts'
import {
  type Behaviour,
  createFakeMachine,
  type FakeMachine,
  type Start,
} from '#test/fakes/programs.ts'
import { createFakeStorage, type FakeStorage } from '#test/fakes/store.ts'
import type { Random } from '#test/helpers/seeds.ts'
import { AT_REST, idsOf, imagesOf, logOf, pauseOf, refused, topologyText } from './edges.ts'
import { beginLife, type Life } from './life.ts'
import { createNetwork, type Network } from './network.ts'

export const CONTROLLER = 'c1'
const INTERVAL_MS = 2_000

/** Faults planted on purpose, to prove that the invariants find them. */
export type Sabotage =
  | 'acknowledges before it is on disk'
  | 'obeys older orders'
  | 'does not signal programs'
  | 'keeps routes of dead instances'
  | 'forgets its programs'

export type AgentHost = {
  name: string
  machine: FakeMachine
  notebook: FakeNotebook
  life: Life | undefined
  agentd: Agentd | undefined
  /** What its sensors measure. */
  metrics: NodeMetrics
  /** The newest order that any life of it obeyed (I8). */
  obeyed: { epoch: number; generation: number }
}

export type ControllerHost = {
  storage: FakeStorage
  life: Life | undefined
  ctld: Ctld | undefined
  table: RouteTable
  starts: number
}

export type SimWorld = {
  clock: VirtualClock
  random: Random
  network: Network
  agents: Map<string, AgentHost>
  controller: ControllerHost
  /** The file of the controller's configuration, and what it says. */
  text: string
  config: ControllerConfig
  mails: { at: number; subject: string; text: string }[]
  trace: { at: number; text: string }[]
  bugs: unknown[]
  violations: string[]
  /** How the next programs behave. */
  behave: (start: Start) => Behaviour
  /** Share of the images that cannot be fetched. */
  brokenImageShare: number
  /** How long the last request to an instance that left the route table takes. */
  requestMs: () => number
  /** What becomes of a restart command. */
  restart: (command: readonly string[]) => Promise<void>
  note(text: string): void
  startController(): void
  killController(how: 'kill' | 'power'): void
  startAgent(name: string): void
  killAgent(name: string, how: 'kill' | 'power'): void
}

export function createSimWorld(
  random: Random,
  options: { workers: number; sabotage?: Sabotage; topology?: string },
): SimWorld {
  const clock = createVirtualClock()
  const names = Array.from({ length: options.workers }, (_, index) => `w${index + 1}`)
  const text = options.topology ?? topologyText(CONTROLLER, names)
  const world: SimWorld = {
    clock,
    random,
    network: createNetwork(clock, random),
    agents: new Map(),
    controller: {
      storage: createFakeStorage({ clock, pause: pauseOf(clock, random) }),
      life: undefined,
      ctld: undefined,
      table: { version: 0, routes: [] },
      starts: 0,
    },
    text,
    config: parseTopology(text, 'topology.yaml'),
    mails: [],
    trace: [],
    bugs: [],
    violations: [],
    behave: () => ({}),
    brokenImageShare: 0.02,
    requestMs: () => random.random() * 200,
    restart: () => Promise.reject(new Error('no such command here')),
    note(what) {
      world.trace.push({ at: clock.now(), text: what })
    },
    startController: () => startController(world, options.sabotage),
    killController: (how) => killController(world, how),
    startAgent: (name) => startAgent(world, hostOf(world, name), options.sabotage),
    killAgent: (name, how) => killAgent(world, hostOf(world, name), how),
  }
  for (const name of names) {
    world.agents.set(name, {
      name,
      machine: createFakeMachine({ clock, behave: (start) => world.behave(start) }),
      notebook: createFakeNotebook({ clock, pause: pauseOf(clock, random) }),
      life: undefined,
      agentd: undefined,
      metrics: AT_REST,
      obeyed: { epoch: 0, generation: 0 },
    })
  }
  return world
}

export function hostOf(world: SimWorld, name: string): AgentHost {
  const host = world.agents.get(name)
  if (host === undefined) throw new Error(`no host ${name}`)
  return host
}

function startController(world: SimWorld, sabotage: Sabotage | undefined): void {
  const { controller, clock, random, network } = world
  if (controller.life !== undefined) return
  const life = beginLife(clock)
  controller.life = life
  controller.starts += 1
  world.note(`controller starts (${controller.starts})`)
  const store = controller.storage.open()
  const agents = (machine: string) => hostOf(world, machine)
  const ctld = createCtld(
    {
      clock: life.clock,
      ids: idsOf(clock, `c${controller.starts}`),
      dice: random,
      log: logOf(CONTROLLER, world.note),
      store: {
        load: () => life.guard(store.load()),
        commit: (changes) => {
          const done = store.commit(changes)
          if (sabotage !== 'acknowledges before it is on disk') return life.guard(done)
          done.catch(() => {})
          return Promise.resolve()
        },
        events: (after, limit) => life.guard(store.events(after, limit)),
        close: () => store.close(),
      },
      agents: {
        order: (machine, assignment) =>
          life.guard(
            network.call({
              from: CONTROLLER,
              to: machine.name,
              timeoutMs: 5_000,
              handle: () =>
                obey(world, agents(machine.name), structuredClone(assignment), sabotage),
            }),
          ),
        probe: (machine, timeoutMs) =>
          life.guard(
            network.call({
              from: CONTROLLER,
              to: machine.name,
              timeoutMs,
              handle: async () => {
                const host = agents(machine.name)
                if (host.life === undefined) throw refused(machine.name)
                await host.life.guard(Promise.resolve())
              },
            }),
          ),
      },
      machines: { restart: (command) => life.guard(world.restart(command)) },
      dataPlane: dataPlaneOf(world, life, sabotage),
      mailer: {
        async send(mail) {
          await life.guard(new Promise<void>((resolve) => life.clock.after(20, resolve)))
          world.mails.push({ at: clock.now(), subject: mail.subject, text: mail.text })
        },
      },
    },
    bootOf(world),
  )
  ctld.start().then(
    () => {
      if (!life.isOver()) controller.ctld = ctld
    },
    (error: unknown) => {
      if (!life.isOver()) world.bugs.push(error)
    },
  )
}

function bootOf(world: SimWorld): Boot {
  const parse = (text: string) => parseTopology(text, 'topology.yaml')
  return {
    text: world.text,
    config: world.config,
    parse: async (text) => parse(text),
    write: async (text) => {
      Object.assign(world, { text, config: parse(text) })
    },
    applied: () => {},
    onBug: (error) => world.bugs.push(error),
  }
}

function killController(world: SimWorld, how: 'kill' | 'power'): void {
  const { controller, random } = world
  if (controller.life === undefined) return
  world.note(how === 'kill' ? 'kill -9 of the controller' : 'power cut of the controller')
  controller.life.end()
  controller.life = undefined
  controller.ctld = undefined
  if (how === 'kill') controller.storage.kill()
  else controller.storage.crash(() => random.random())
}

function startAgent(world: SimWorld, host: AgentHost, sabotage: Sabotage | undefined): void {
  const { clock, random, network } = world
  if (host.life !== undefined) return
  const life = beginLife(clock)
  host.life = life
  world.note(`agent ${host.name} starts`)
  const programs = host.machine.open(host.name)
  const notebook = host.notebook.open()
  const agentd = createAgentd(
    {
      clock: life.clock,
      ids: idsOf(clock, `${host.name}-${random.int(0, 1e9)}`),
      dice: random,
      log: logOf(host.name, world.note),
      controller: {
        report: (report) =>
          life.guard(
            network.call({
              from: host.name,
              to: CONTROLLER,
              timeoutMs: reportTimeoutMs(INTERVAL_MS),
              handle: async () => {
                const { ctld, life: other } = world.controller
                if (ctld === undefined || other === undefined) throw refused(CONTROLLER)
                await other.guard(Promise.resolve())
                return structuredClone(await other.guard(ctld.report(structuredClone(report))))
              },
            }),
          ),
      },
      notebook: {
        load: () => life.guard(notebook.load()),
        saveAssignment: (assignment) => life.guard(notebook.saveAssignment(assignment)),
        savePage: (page) =>
          sabotage === 'forgets its programs' && page.program !== undefined
            ? Promise.resolve()
            : life.guard(notebook.savePage(page)),
        removePage: (id) => life.guard(notebook.removePage(id)),
      },
      programs: {
        ...programs,
        ...(sabotage === 'does not signal programs'
          ? { signal: () => {}, sweep: async () => {} }
          : {}),
        ...(sabotage === 'forgets its programs' ? { strays: async () => [] } : {}),
      },
      images: imagesOf(life, random, () => world.brokenImageShare),
      sensors: { sample: async () => host.metrics },
    },
    {
      name: host.name,
      version: '1',
      publishIntervalMs: INTERVAL_MS,
      portRange: { from: 20_000, to: 20_200 },
    },
    (error) => {
      if (!life.isOver()) world.bugs.push(error)
    },
  )
  agentd.start().then(
    () => {
      if (!life.isOver()) host.agentd = agentd
    },
    (error: unknown) => {
      if (!life.isOver()) world.bugs.push(error)
    },
  )
}

function killAgent(world: SimWorld, host: AgentHost, how: 'kill' | 'power'): void {
  world.note(how === 'kill' ? `kill -9 of agent ${host.name}` : `power cut of ${host.name}`)
  host.life?.end()
  host.life = undefined
  host.agentd = undefined
  host.machine.close(host.name)
  if (how === 'kill') host.notebook.disk.kill()
  else {
    host.notebook.disk.crash(() => world.random.random())
    host.machine.reboot()
  }
}

/** The agent's door for orders; what it obeys is written down, for I8. */
async function obey(
  world: SimWorld,
  host: AgentHost,
  assignment: Assignment,
  sabotage: Sabotage | undefined,
): Promise<OrderAnswer> {
  const { life, agentd } = host
  if (life === undefined || agentd === undefined) throw refused(host.name)
  await life.guard(Promise.resolve())
  const { epoch, generation } = assignment
  const isOlder =
    epoch < host.obeyed.epoch ||
    (epoch === host.obeyed.epoch && generation < host.obeyed.generation)
  const given =
    sabotage === 'obeys older orders' && isOlder
      ? { ...assignment, epoch: host.obeyed.epoch, generation: host.obeyed.generation + 1 }
      : assignment
  const answer = await life.guard(agentd.obey(given))
  if (answer.accepted) {
    if (isOlder) {
      world.violations.push(
        `I8: ${host.name} obeyed ${epoch}/${generation} after ` +
          `${host.obeyed.epoch}/${host.obeyed.generation}`,
      )
    }
    host.obeyed = { epoch, generation }
  }
  return answer
}

function dataPlaneOf(world: SimWorld, life: Life, sabotage: Sabotage | undefined): DataPlane {
  const { controller } = world
  const listeners: ((observation: Observation) => void)[] = []
  const targetsOf = (table: RouteTable) =>
    new Set(table.routes.flatMap(({ targets }) => targets.map(({ instance }) => instance)))
  return {
    publish(table) {
      const before = targetsOf(controller.table)
      if (sabotage === 'keeps routes of dead instances' && before.size > 0) {
        controller.table = { ...table, routes: controller.table.routes }
        return
      }
      controller.table = structuredClone(table)
      const after = targetsOf(table)
      for (const instance of before) {
        if (after.has(instance)) continue
        life.clock.after(world.requestMs(), () => {
          if (targetsOf(controller.table).has(instance)) return
          for (const listener of listeners) listener({ kind: 'drained', instance })
        })
      }
    },
    observe: (listener) => {
      listeners.push(listener)
    },
  }
}
