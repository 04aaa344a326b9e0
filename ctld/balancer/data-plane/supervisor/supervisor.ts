// The head of the data plane: takes tables from whoever feeds it, keeps the last one on disk and
// has all loops serve by it, tells what the loops see. It needs no controller to go on.

import type { DataPlaneCounters } from '#ctld/balancer/data-plane/counters.ts'
import type {
  ListeningPort,
  LoopTable,
  Settings,
} from '#ctld/balancer/data-plane/loop/loop-table.ts'
import type { Route } from '#ctld/ports.ts'
import { messageOf } from '#shared/errors.ts'
import type { Cancel, Clock, Log } from '#shared/ports.ts'
import { createKeepNewest } from './keep-newest.ts'
import { createLoops, type Loops, type StartLoop } from './loops.ts'
import { createPortsHeld, type PortsHeld, routesWithout, type TryPort } from './ports-held.ts'
import { type FromDataPlane, type PortFailure, PROTOCOL, type ToDataPlane } from './protocol.ts'
import { createSlots } from './slots.ts'

/** Between two tries to open ports that another program has. */
const RETRY_MS = 1_000
const NONE = Promise.resolve<PortFailure[]>([])
/** How the program that was before is called among the members. */
const PREDECESSOR = 'predecessor'

export type KeptTable = { version: number; settings: Settings; routes: Route[] }

/** Who feeds this program: the controller, or its successor while it drains. */
export type Peer = { send(message: FromDataPlane): void }

export type SupervisorPorts = {
  clock: Clock
  log: Log
  program: string
  pid: number
  cores: number
  slotsMax: number
  startLoop: StartLoop
  /** Before there are more loops than before, and when the loop of this index has ended. */
  growColumns(count: number): void
  clearColumn(index: number): void
  /** Durable when it resolves. */
  keep(table: KeptTable): Promise<void>
  tryPort: TryPort
}

export type Supervisor = {
  /** Serves by this table, which is on disk; resolves with the ports that failed. */
  begin(table: KeptTable, inherited?: readonly ListeningPort[]): Promise<PortFailure[]>
  /** Serves by this one, which came without a feeder. */
  renew(table: KeptTable): void
  /** This one feeds from now on; answers who did before. */
  attach(peer: Peer): Peer | undefined
  detach(peer: Peer): void
  hear(peer: Peer, message: Extract<ToDataPlane, { kind: 'table' | 'counters' }>): void
  /** The program before this one still has requests in flight; it is told each table. */
  follow(routed: readonly string[], tell: (table: ToDataPlane) => void): void
  predecessorDrained(instance: string, version: number): void
  predecessorGone(): void
  table(): KeptTable | undefined
  routed(): string[]
  listening(): Promise<ListeningPort[]>
  /** Resolves when nothing is being written to disk. */
  settled(): Promise<void>
  /** Takes no more connections and keeps nothing any more; resolves when the last one is gone. */
  drain(graceMs: number): Promise<void>
}

type Table = KeptTable & { serial: number; from: Peer | undefined }

export function createSupervisor(ports: SupervisorPorts): Supervisor {
  const { clock, log } = ports
  const slots = createSlots(ports.slotsMax)
  let held: PortsHeld = createPortsHeld(ports.tryPort, [])
  let inheritance: readonly ListeningPort[] = []
  let feeder: Peer | undefined
  /** Version of the last table that the feeder sent. */
  let received = 0
  let serial = 0
  let latest: Table | undefined
  const unacked: Table[] = []
  /** Serials of what the loops were handed, and of what they all serve by. */
  let posted = 0
  let applied = 0
  let served: Settings | undefined
  let work: Promise<void> | undefined
  /** The ports and the file are another's from then on. */
  let isDraining = false
  let cancelRetry: Cancel = () => {}
  let tellPredecessor: ((table: ToDataPlane) => void) | undefined
  let failures: PortFailure[] = []
  const kept = createKeepNewest({ clock, log, save: ports.keep, onTried: ack })

  const loops: Loops = createLoops({
    clock,
    log,
    startLoop(index, on) {
      ports.growColumns(index + 1)
      return ports.startLoop(index, on)
    },
    told(member, news, version) {
      if (news.kind === 'emptied') tellDrained(slots.emptied(member, news.instance, version))
      else if (news.kind !== 'drained') feeder?.send({ kind: 'observed', observation: news })
    },
    listenerFailed: (failure) => tellFailed([failure]),
    posted: (member, table) => slots.posted(member, table.version, instancesOf(table.routes)),
    gone(member, index, error) {
      ports.clearColumn(index)
      if (error !== undefined) {
        feeder?.send({ kind: 'observed', observation: { kind: 'loop_failed', loop: index, error } })
      }
      tellDrained(slots.gone(member))
    },
  })

  function take(table: KeptTable, from: Peer | undefined, isKept = false): void {
    const instances = instancesOf(table.routes)
    tellDrained(slots.apply(instances))
    serial += 1
    latest = { ...table, serial, from }
    if (from !== undefined) unacked.push(latest)
    if (!isDraining) kept.put(serial, bare(table), isKept)
    if (tellPredecessor !== undefined) {
      tellPredecessor({ kind: 'table', ...table, version: serial })
      slots.posted(PREDECESSOR, serial, instances)
    }
    work ??= post()
  }

  /** Hands the newest to the loops. None is waited for: one that hangs must not stop the others. */
  async function post(): Promise<void> {
    while (latest !== undefined && latest.serial > posted) {
      const table = latest
      // It waits in each case: what is done before `work` is known would never be taken for done.
      const taken = await (isDraining
        ? NONE
        : held.hold(table.settings, table.routes, served?.port))
      if (table !== latest) continue
      posted = table.serial
      void serve(table, taken).then((failed) => {
        failures = [...taken, ...failed]
        applied = Math.max(applied, table.serial)
        ack()
      })
      cancelRetry()
      if (taken.length > 0) retryLater()
    }
    work = undefined
  }

  /** The newest that every loop serves by and that is on disk; older ones are covered by it. */
  function ack(): void {
    const done = isDraining ? applied : Math.min(applied, kept.tried())
    const count = unacked.filter(({ serial: of }) => of <= done).length
    const newest = unacked.splice(0, count).at(-1)
    if (newest === undefined || newest.from !== feeder) return
    const { version } = newest
    feeder?.send({ kind: 'ack', version, failures, notKept: kept.failure() })
  }

  async function serve(table: Table, taken: readonly PortFailure[]): Promise<PortFailure[]> {
    tellFailed(taken)
    const routes = routesWithout(table.settings, table.routes, taken)
    // While the main port cannot be had, the former one stays; without one nobody is served.
    const settings = routes === undefined ? served : table.settings
    if (settings === undefined) return []
    served = settings
    const threads = settings.threads === 0 ? ports.cores : settings.threads
    if (!isDraining) resize(threads)
    return loops.update({
      version: table.serial,
      settings: { ...settings, threads },
      routes: routes ?? table.routes,
      slots: slots.table(),
    })
  }

  function resize(threads: number): void {
    loops.resize(threads, inheritance)
    inheritance = []
  }

  function retryLater(): void {
    cancelRetry = clock.after(RETRY_MS, () => {
      if (latest !== undefined && !isDraining) take(bare(latest), undefined, true)
    })
  }

  function tellFailed(list: readonly PortFailure[]): void {
    for (const { port, error } of list) {
      if (failures.some((known) => known.port === port && known.error === error)) continue
      log.error({ port, error }, 'a port cannot be opened; it is tried again')
      feeder?.send({ kind: 'observed', observation: { kind: 'listener_failed', port, error } })
    }
  }

  function tellDrained(instances: readonly string[]): void {
    for (const instance of instances) {
      feeder?.send({ kind: 'drained', instance, version: received })
    }
  }

  async function count(peer: Peer, id: number): Promise<void> {
    const answer = await loops.counters().then(
      (counters): FromDataPlane => ({ kind: 'counters', id, counters: withVersion(counters) }),
      (error): FromDataPlane => ({ kind: 'counters_failed', id, error: messageOf(error) }),
    )
    peer.send(answer)
  }

  /** Loops count by serials, which nobody outside knows. 0: not all have the newest yet. */
  function withVersion(counters: DataPlaneCounters): DataPlaneCounters {
    const version = counters.tableVersion === latest?.serial ? latest.version : 0
    return { ...counters, tableVersion: version }
  }

  return {
    async begin(table, inherited = []) {
      held = createPortsHeld(
        ports.tryPort,
        inherited.map(({ port }) => port),
      )
      inheritance = inherited
      take(table, undefined, true)
      await work
      await loops.updated()
      return failures
    },
    renew: (table) => take(table, undefined),
    attach(peer) {
      const before = feeder
      feeder = peer
      received = 0
      peer.send({
        kind: 'hello',
        protocol: PROTOCOL,
        program: ports.program,
        pid: ports.pid,
        tableVersion: latest?.version ?? -1,
        routed: slots.routed(),
      })
      return before
    },
    detach(peer) {
      if (feeder === peer) feeder = undefined
    },
    hear(peer, message) {
      if (message.kind === 'counters') {
        void count(peer, message.id)
        return
      }
      if (peer !== feeder) return
      const { version, settings, routes } = message
      received = version
      try {
        take({ version, settings, routes }, peer)
      } catch (error) {
        peer.send({ kind: 'refused', version, error: messageOf(error) })
      }
    },
    follow(routed, tell) {
      tellPredecessor = tell
      slots.posted(PREDECESSOR, -1, routed)
      if (latest === undefined) return
      const { version: _, ...table } = bare(latest)
      tell({ kind: 'table', ...table, version: serial })
      slots.posted(PREDECESSOR, serial, instancesOf(table.routes))
    },
    predecessorDrained: (instance, version) =>
      tellDrained(slots.emptied(PREDECESSOR, instance, version)),
    predecessorGone() {
      tellPredecessor = undefined
      tellDrained(slots.gone(PREDECESSOR))
    },
    table: () => (latest === undefined ? undefined : bare(latest)),
    routed: () => slots.routed(),
    listening: () => loops.listening(),
    settled: () => kept.settled(),
    async drain(graceMs) {
      isDraining = true
      cancelRetry()
      kept.stop()
      await loops.drain(graceMs)
    },
  }
}

function bare({ version, settings, routes }: KeptTable): KeptTable {
  return { version, settings, routes }
}

function instancesOf(routes: LoopTable['routes']): string[] {
  return routes.flatMap(({ targets }) => targets.map(({ instance }) => instance))
}
