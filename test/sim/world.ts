// The simulator's world: the real controller and real agents on a virtual clock, network, disk
// and process table. It knows how to break things and how to look; what is broken when is told
// by scenario.ts, what must hold by invariants.ts.

import type { Agentd } from '#agentd/agentd.ts'
import type { DataPlaneCounters } from '#ctld/balancer/data-plane/counters.ts'
import type { RouteTable } from '#ctld/ports.ts'
import type { Ctld } from '#ctld/snapshot.ts'
import type { ControllerConfig } from '#shared/configuration.ts'
import type { NodeMetrics } from '#shared/model.ts'
import { parseTopology } from '#shared/topology.ts'
import { createVirtualClock, type VirtualClock } from '#test/fakes/clock.ts'
import { noCounters } from '#test/fakes/counters.ts'
import { createFakeNotebook, type FakeNotebook } from '#test/fakes/notebook.ts'
import {
  type Behaviour,
  createFakeMachine,
  type FakeMachine,
  type Start,
} from '#test/fakes/programs.ts'
import { createFakeStorage, type FakeStorage } from '#test/fakes/store.ts'
import type { Random } from '#test/helpers/seeds.ts'
import { hostOf, killAgent, startAgent } from './agent.ts'
import { killController, startController } from './controller.ts'
import { newDataPlane, type SimDataPlane } from './data-plane.ts'
import { AT_REST, CONTROLLER, pauseOf, topologyText } from './edges.ts'
import type { Life } from './life.ts'
import { createNetwork, type Network } from './network.ts'

/** Faults planted on purpose, to prove that the invariants find them. */
export type Sabotage =
  | 'acknowledges before it is on disk'
  | 'obeys older orders'
  | 'does not signal programs'
  | 'keeps routes of dead instances'
  | 'forgets its programs'
  | 'forgets the requests of a former controller'
  | 'exchanges in two steps'
  | 'switches half of a group'

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
  /** Its program outlives the controller. */
  dataPlane: SimDataPlane
  starts: number
  /** The life that is in the middle of a step: what it decided is not yet acted upon. */
  committing: Life | undefined
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
  /** What the data plane says that it counted. Only a test with clients of its own has any. */
  counted: (table: RouteTable) => Promise<DataPlaneCounters>
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
      dataPlane: newDataPlane(),
      starts: 0,
      committing: undefined,
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
    counted: async ({ version }) => noCounters({ tableVersion: version }),
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
