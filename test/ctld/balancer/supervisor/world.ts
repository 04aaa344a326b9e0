// A world for the supervisor: loops that are objects instead of threads, a clock that stands, a
// disk and ports that do as they are told.

import type { LoopTable, Settings } from '#ctld/balancer/data-plane/loop/loop-table.ts'
import type { FromLoop, ToLoop } from '#ctld/balancer/data-plane/loop/thread-messages.ts'
import type { StartLoop } from '#ctld/balancer/data-plane/supervisor/loops.ts'
import type { FromDataPlane } from '#ctld/balancer/data-plane/supervisor/protocol.ts'
import {
  createSupervisor,
  type KeptTable,
  type Peer,
} from '#ctld/balancer/data-plane/supervisor/supervisor.ts'
import type { Route } from '#ctld/ports.ts'
import { createManualClock } from '#test/helpers/manual-clock.ts'

export const settings: Settings = {
  host: '127.0.0.1',
  port: 8080,
  threads: 2,
  trustedProxies: [],
  accessLog: null,
  connectionsMax: 1_000,
  connectionsPerIp: 0,
}

export const silent = { debug() {}, info() {}, warn() {}, error() {} }

export function aRoute(service: string, instances: string[], change: Partial<Route> = {}): Route {
  return {
    service,
    protocol: 'http',
    hosts: [service],
    paths: [`/svc/${service}/`],
    proxyProtocol: 'none',
    balance: 'weighted_round_robin',
    slowStartMs: 0,
    inFlightMax: 0,
    queueMax: 10,
    queueMs: 1_000,
    holdMs: 0,
    traffic: 'open',
    pauseMs: 0,
    connectMs: 1_000,
    responseMs: 1_000,
    idleMs: 1_000,
    bodyMax: 0,
    pipelining: true,
    targets: instances.map((instance) => ({
      instance,
      node: 'w1',
      host: '127.0.0.1',
      port: 1_000,
      weight: 1,
    })),
    ...change,
  }
}

export type FakeLoop = {
  index: number
  tables: LoopTable[]
  heard: ToLoop[]
  isEnded: boolean
  say(message: FromLoop): void
  /** Says that it serves by the newest table. */
  update(): void
  empty(instance: string): void
  die(error: string): void
}

/** `isPrompt`: loops serve by a table as soon as they have it. */
export function createLoopWorld({ isPrompt = true } = {}) {
  const loops: FakeLoop[] = []
  const startLoop: StartLoop = (index, on) => {
    const loop: FakeLoop = {
      index,
      tables: [],
      heard: [],
      isEnded: false,
      say: (message) => on.message(message),
      update: () => loop.say({ kind: 'updated', version: versionOf(loop) }),
      empty: (instance) =>
        loop.say({ kind: 'news', news: { kind: 'emptied', instance }, version: versionOf(loop) }),
      die(error) {
        if (loop.isEnded) return
        loop.isEnded = true
        on.ended(error)
      },
    }
    loops.push(loop)
    return {
      post(message) {
        loop.heard.push(message)
        if (message.kind !== 'table') return
        loop.tables.push(message.table)
        if (isPrompt) queueMicrotask(loop.update)
      },
      terminate: () => loop.die('terminated'),
    }
  }
  return { loops, startLoop, living: () => loops.filter(({ isEnded }) => !isEnded) }
}

export function createWorld(options: { isPrompt?: boolean; cores?: number } = {}) {
  const world = createLoopWorld(options)
  const clock = createManualClock()
  const kept: KeptTable[] = []
  const taken = new Map<number, string>()
  const disk = { error: undefined as string | undefined }
  const cleared: number[] = []
  const supervisor = createSupervisor({
    clock,
    log: silent,
    program: '0.1.0',
    pid: 4_711,
    cores: options.cores ?? 2,
    slotsMax: 64,
    startLoop: world.startLoop,
    growColumns() {},
    clearColumn: (index) => cleared.push(index),
    async keep(table) {
      if (disk.error !== undefined) throw new Error(disk.error)
      kept.push(table)
    },
    tryPort: async (_, port) => taken.get(port),
  })
  return { ...world, clock, kept, taken, disk, cleared, supervisor }
}

/** A controller that keeps what it is told. */
export function aPeer(): Peer & {
  told: FromDataPlane[]
  of(kind: FromDataPlane['kind']): unknown[]
} {
  const told: FromDataPlane[] = []
  return {
    told,
    send: (message) => told.push(structuredClone(message)),
    of: (kind) => told.filter((message) => message.kind === kind),
  }
}

export function aTable(version: number, routes: Route[], change: Partial<Settings> = {}) {
  return { kind: 'table' as const, version, settings: { ...settings, ...change }, routes }
}

/** All promises that can settle now have. */
export async function settled(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve))
}

function versionOf({ tables }: FakeLoop): number {
  return tables.at(-1)?.version ?? -1
}
