// The controller: one loop that drains its inbox, folds what happened into the world, decides,
// commits, and only then acts and answers. What the simulator boots is this very function.

import { TucanoError } from '#shared/errors.ts'
import { createLoop } from '#shared/loop.ts'
import {
  forgivePause,
  noteEpoch,
  noteProbe,
  noteRestart,
  sweepMs,
  tellOfMissingWorkers,
  watchWorkers,
} from './agent-manager/agent-manager.ts'
import type { Command, CommandResult } from './commands.ts'
import { createOrders, explained } from './deployer/deployer.ts'
import { foldConfig } from './discovery/fold-command.ts'
import { foldDeaths, foldTopology } from './discovery/fold-node.ts'
import { foldReport } from './discovery/fold-report.ts'
import { secretViews } from './discovery/fold-secrets.ts'
import { endPauses } from './discovery/fold-traffic.ts'
import { createKeeper } from './discovery/keeper.ts'
import { scratchOf } from './discovery/scratch.ts'
import { snapshotOf } from './discovery/view.ts'
import { createWorld, factsOf, setFacts, tellNews, type World } from './discovery/world.ts'
import { createEffects } from './effects.ts'
import { type Copy, createForesight } from './foresight.ts'
import { type Answer, createInbox, type Inbound } from './inbox.ts'
import { createMeter } from './meter/meter.ts'
import { deployAndMove, holdUpsOf, rebalancePlan } from './moves.ts'
import { createNotifier } from './notifier/notifier.ts'
import type { Boot, CtldPorts } from './ports.ts'
import { createRequests } from './requests.ts'
import { versionsOf } from './secrets/secrets.ts'
import type { Ctld, Pending, Snapshot } from './snapshot.ts'
import { createSpareWatch } from './spare-watch.ts'
import { createTraffic } from './traffic.ts'
import { fileReceipts, holdTrials, trialsOf } from './trials.ts'

/** A pause of the loop longer than this many sweeps was a standstill of the whole process. */
const PAUSE_SWEEPS = 3
/** Re-tries of a commit that failed, and so of requests. */
const DEGRADED_RETRY_MS = 1_000

export function createCtld(ports: CtldPorts, boot: Boot): Ctld {
  const { clock, ids, log, secrets } = ports
  const startWall = Math.round(clock.wall() - clock.now())
  // Wall time that no change of the machine's clock makes jump: liveness and waiting use it too.
  // Whole milliseconds, as all that is stored.
  const time = () => startWall + Math.floor(clock.now())
  const newId = () => ids.next()
  const loop = createLoop({ clock, step, onBug: boot.onBug })
  const inbox = createInbox(() => loop.wake())
  const notifier = createNotifier(ports, boot.config.alerts)
  const keeper = createKeeper(ports.store)
  const orders = createOrders()
  const requests = createRequests({ ids, log, boot, notifier, keeper, secrets })
  const effects = createEffects(ports, { inbox, keeper, orders })
  const traffic = createTraffic({
    dataPlane: ports.dataPlane,
    log,
    onObservation: (observation) => inbox.put({ kind: 'observed', observation }),
  })
  const meter = createMeter({
    dataPlane: ports.dataPlane,
    log,
    onCounted: (counters) => inbox.put({ kind: 'counted', counters }),
  })
  const copy = () => asked<Copy>((answer) => ({ kind: 'copied', answer }))
  const foresee = createForesight({ clock, copy })
  const spareWatch = createSpareWatch()
  const listeners = new Set<() => void>()
  let world: World | undefined
  let pending: Pending[] = []
  /** The facts that the last plan was made from, and until when it holds. */
  let planned: { of: string; wakeAt: number } | undefined
  let lastStepAt: number | undefined
  let viewVersion = 0
  let view: { version: number; snapshot: Snapshot } | undefined

  async function start(): Promise<void> {
    const loaded = await ports.store.load()
    const now = time()
    const born = createWorld(loaded, boot.config, now)
    await takeConfig(born, now)
    foldTopology(born, now)
    foldDeaths(born, now)
    const { incidents, outbox } = factsOf(born)
    notifier.restore({ incidents, outbox })
    keeper.startAt(loaded.lastEventCursor)
    born.secrets = versionsOf(secrets)
    for (const notice of [...loaded.notices, ...secrets.notices]) {
      tellNotice(born, notice, now)
    }
    world = born
    // The programs run on: traffic flows from the first moment, by what the state says (Q16).
    traffic.publish(born, now)
    orders.refresh(born)
    lastStepAt = undefined
    loop.wake()
  }

  /** What is in the configuration's file counts: as a new version when it is not the last one. */
  async function takeConfig(born: World, now: number): Promise<void> {
    const last = factsOf(born).config.at(-1)
    if (last?.text === boot.text) return
    if (last !== undefined) {
      // Read with the eyes of this version: what it no longer understands has no workers to drain.
      born.config = await boot.parse(last.text).catch(() => boot.config)
    }
    const version = last?.version ?? 0
    foldConfig(born, { version, text: boot.text, by: 'start', config: boot.config }, now)
  }

  async function step(): Promise<number> {
    if (world === undefined) return Infinity
    const now = time()
    const inbound = inbox.drain()
    notePause(world, now)
    for (const event of inbound) take(world, event, now)
    const asked = inbound.filter((event) => event.kind === 'request')
    // Until the commit others see what was before: what may be refused never happened.
    if (asked.length > 0) ctld.snapshot()
    const answers = await requests.take(world, asked, now)
    let decided = decide(world, now, keeper.degraded() === null)
    let news = [...world.news]
    const failure = await keeper.commit(world)
    if (failure !== undefined && (await answers.refuse(world, failure))) {
      const { errands } = decided
      decided = decide(world, now, false)
      decided.errands.unshift(...errands)
      news = [...world.news]
    }
    if (keeper.noteHealth(world, failure, now)) loop.wake()
    effects.logNews(news)
    traffic.publish(world, now)
    effects.act(world, decided, inbound)
    changed()
    answers.tell()
    const retryAt = keeper.degraded() === null ? Infinity : now + DEGRADED_RETRY_MS
    const meterAt = meter.ask(trialsOf(world).length > 0, now)
    lastStepAt = time()
    return Math.min(decided.wakeAt, retryAt, meterAt, now + sweepMs(world)) - startWall
  }

  function notePause(known: World, now: number): void {
    const sweep = sweepMs(known)
    const pauseMs = lastStepAt === undefined ? 0 : now - lastStepAt - sweep
    if (pauseMs > PAUSE_SWEEPS * sweep) forgivePause(known, pauseMs, now)
  }

  function take(known: World, event: Inbound, now: number): void {
    switch (event.kind) {
      case 'report': {
        if (known.tables.nodes.get(event.report.node) === undefined) return
        const generation = orders.of(event.report.node)?.generation ?? 0
        foldReport(known, event.report, generation, now)
        noteEpoch(known, event.report.node, event.report.epoch)
        return
      }
      case 'probed':
        noteProbe(known, event.node, event.ok)
        return
      case 'restarted':
        noteRestart(known, event.node, event.error, now)
        return
      case 'ordered':
        noteEpoch(known, event.node, event.answer.epoch)
        return
      case 'observed':
        traffic.note(known, event.observation, now)
        return
      case 'counted':
        meter.note(known, trialsOf(known), event.counters, now)
        return
      case 'mailed':
        notifier.mailResult(event.id, event.error, now)
        return
      case 'copied': {
        const isDurable = keeper.degraded() === null
        const routed = new Set(traffic.routed)
        event.answer.resolve({ world: scratchOf(known), routed, isDurable, now })
        return
      }
      case 'request':
        return
    }
  }

  function decide(known: World, now: number, isDurable: boolean) {
    const watched = watchWorkers(known, now)
    const openAt = endPauses(known, now)
    // A way back is declared: it has to be on disk before it is gone.
    const judgedAt = isDurable ? holdTrials(known, { newId, meter }, now) : Infinity
    const of = () => `${factsVersion(known)} ${isDurable}`
    if (planned === undefined || planned.of !== of() || planned.wakeAt <= now) {
      const deployed = deployAndMove(known, { newId, routed: traffic.routed, isDurable }, now)
      pending = deployed.pending
      planned = { of: of(), wakeAt: deployed.wakeAt }
    }
    fileReceipts(known, meter)
    foldTopology(known, now)
    tellOfMissingWorkers(known, pending, now)
    const spareAt = spareWatch.watch(known, factsVersion(known), now)
    notifier.tell(known.occurrences.splice(0), now)
    const mails = notifier.decide(now)
    for (const notice of mails.notices) tellNews(known, now, 'alert.notice', notice, {})
    if (mails.changed) {
      const { incidents, outbox } = notifier.state()
      setFacts(known, { incidents, outbox })
    }
    const ownAt = [watched.wakeAt, planned.wakeAt, mails.wakeAt]
    const wakeAt = Math.min(...ownAt, openAt, spareAt, judgedAt)
    return { errands: watched.errands, sends: mails.sends, wakeAt }
  }

  /** Changes with everything that a plan depends on, but the loads of the nodes. */
  function factsVersion(known: World): string {
    const { services, instances, nodes, facts } = known.tables
    const versions = [services, instances, nodes, facts].map(({ version }) => version())
    return [...versions, traffic.changes()].join()
  }

  function changed(): void {
    viewVersion += 1
    for (const listener of listeners) listener()
  }

  function tellNotice(known: World, notice: string, now: number): void {
    tellNews(known, now, 'store.notice', notice, {})
    const about = { incident: 'store', subject: 'state' } as const
    known.occurrences.push({ ...about, what: 'begins', text: notice })
    known.occurrences.push({ ...about, what: 'ends', text: 'the controller started all the same' })
  }

  async function submit(command: Command) {
    if (world === undefined) throw new TucanoError('starting', 'the controller is starting')
    const config = command.kind === 'put_config' ? await boot.parse(command.text) : undefined
    return asked<CommandResult>((answer) => ({ kind: 'request', command, config, answer }))
  }

  /** Puts it into the inbox and resolves with what the loop answers. */
  async function asked<T>(inbound: (answer: Answer<T>) => Inbound): Promise<T> {
    if (world === undefined) throw new TucanoError('starting', 'the controller is starting')
    return new Promise<T>((resolve, reject) => inbox.put(inbound({ resolve, reject })))
  }

  const ctld: Ctld = {
    start,
    async stop() {
      await loop.stop()
      const text = 'the controller is stopping'
      for (const event of inbox.drain()) {
        if ('answer' in event && 'reject' in event.answer) {
          event.answer.reject(new TucanoError('unavailable', text))
        }
      }
      await ports.store.close()
    },
    submit,
    report: (report) => asked((answer) => ({ kind: 'report', report, answer })),
    foresee,
    async rebalancePlan() {
      const { world: copied, now } = await copy()
      return rebalancePlan(copied, now)
    },
    explain: async (name) => explained(await copy(), name),
    holdUps: async (node) => holdUpsOf((await copy()).world, node, pending),
    snapshot() {
      if (world === undefined) throw new TucanoError('starting', 'the controller is starting')
      if (view?.version !== viewVersion) {
        const extra = {
          version: viewVersion,
          pending,
          spare: spareWatch.spare(),
          degraded: keeper.degraded(),
          lastEventCursor: keeper.lastEventCursor(),
          tableVersion: traffic.tableVersion(),
          secrets: secretViews(world, secrets.list()),
        }
        view = { version: viewVersion, snapshot: snapshotOf(world, extra, time()) }
      }
      return view.snapshot
    },
    events: (after, limit) => ports.store.events(after, limit),
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
  return ctld
}
