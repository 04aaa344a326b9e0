// The controller: one loop that drains its inbox, folds what happened into the world, decides,
// commits, and only then acts and answers. What the simulator boots is this very function.

import { durationMs } from '#shared/duration.ts'
import { messageOf, TucanoError } from '#shared/errors.ts'
import { createLoop } from '#shared/loop.ts'
import type { ControllerConfig } from '#shared/model.ts'
import type { Ack, Assignment } from '#shared/wire.ts'
import {
  type Errand,
  forgivePause,
  noteProbe,
  noteRestart,
  sweepMs,
  tellOfMissingWorkers,
  watchWorkers,
} from './agent-manager/agent-manager.ts'
import { type Balancer, createBalancer } from './balancer/balancer.ts'
import type { Command } from './commands.ts'
import { createOrders, deploy } from './deployer/deployer.ts'
import { foldCommand, foldConfig, refuseStale } from './discovery/fold-command.ts'
import { foldDeaths, foldTopology } from './discovery/fold-node.ts'
import { foldReport } from './discovery/fold-report.ts'
import { createKeeper } from './discovery/keeper.ts'
import { snapshotOf } from './discovery/view.ts'
import {
  createWorld,
  factsOf,
  type News,
  seenOf,
  setFacts,
  tellNews,
  type World,
  workersOf,
} from './discovery/world.ts'
import { createInbox, type Inbound, type Request } from './inbox.ts'
import { createNotifier } from './notifier/notifier.ts'
import type { CtldPorts, Observation } from './ports.ts'
import type { Ctld, Pending, Snapshot } from './snapshot.ts'

export type Boot = {
  /** The text of the configuration's file and what it says. */
  text: string
  config: ControllerConfig
  /** Rejects with `invalid_config` and every problem. */
  parse(text: string): Promise<ControllerConfig>
  /** Puts a configuration that came by the API into its file, durably. */
  write(text: string): Promise<void>
  /** A configuration is in force now: edges that depend on it are made anew. */
  applied(config: ControllerConfig): void
  /** A bug: the process has to end, its supervisor starts it again. */
  onBug(error: unknown): void
}

/** A pause of the loop longer than this many sweeps was a standstill of the whole process. */
const PAUSE_SWEEPS = 3
/** Re-tries of a commit that failed, and so of requests. */
const DEGRADED_RETRY_MS = 1_000
const ORDERS_UNDER_WAY_MAX = 64

export function createCtld(ports: CtldPorts, boot: Boot): Ctld {
  const { clock, ids, log } = ports
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
  const underWay = new Set<string>()
  const listeners = new Set<() => void>()
  let balancer: Balancer | undefined
  /** Instances that the data plane may still send to, or is waiting for. */
  const routed = new Set<string>()
  let routedChanges = 0
  /** News that keep waiting for a disk that refuses are logged once. */
  const logged = new WeakSet<News>()
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
    for (const notice of loaded.notices) tellNotice(born, notice, now)
    world = born
    balancer = createBalancer({ dataPlane: ports.dataPlane, onObservation: observed })
    // The programs run on: traffic flows from the first moment, by what the state says (Q16).
    publish(born, now)
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
    const requests = inbound.filter((event) => event.kind === 'request')
    // Until the commit others see what was before: what may be refused never happened.
    if (requests.length > 0) ctld.snapshot()
    const answers = await takeRequests(world, requests, now)
    let decided = decide(world, now)
    let news = [...world.news]
    const failure = await keeper.commit(world)
    if (failure !== undefined && (await answers.refuse(world, failure))) {
      const { errands } = decided
      decided = decide(world, now)
      decided.errands.unshift(...errands)
      news = [...world.news]
    }
    if (keeper.noteHealth(world, failure, now)) loop.wake()
    logNews(news)
    publish(world, now)
    act(world, decided, inbound)
    answers.tell()
    const retryAt = keeper.degraded() === null ? Infinity : now + DEGRADED_RETRY_MS
    lastStepAt = time()
    return Math.min(decided.wakeAt, retryAt, now + sweepMs(world)) - startWall
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
        noteObservation(known, event.observation, now)
        return
      case 'mailed':
        notifier.mailResult(event.id, event.error, now)
        return
      case 'request':
        return
    }
  }

  /** Folds the requests behind a savepoint: when the commit fails they leave no trace. */
  async function takeRequests(known: World, requests: Request[], now: number) {
    const configBefore = known.config
    const newsBefore = [...known.news]
    const occurrencesBefore = [...known.occurrences]
    const notes = notifier.state()
    const told: (() => void)[] = []
    const accepted: Request[] = []
    known.tables.savepoint()
    for (const request of requests) {
      const refusal = keeper.degraded()
      try {
        if (refusal !== null) throw new TucanoError('store_failed', refusal)
        const result = await takeRequest(known, request, now)
        accepted.push(request)
        told.push(() => request.answer.resolve(result))
      } catch (error) {
        if (!(error instanceof TucanoError)) throw error
        request.answer.reject(error)
      }
    }
    return {
      tell() {
        for (const answer of told) answer()
      },
      /** true: the world is as it was before the requests, and has to be decided on anew. */
      async refuse(before: World, failure: TucanoError): Promise<boolean> {
        if (accepted.length === 0) return false
        before.tables.undo()
        if (before.config !== configBefore) await takeBack(before, accepted, configBefore)
        before.config = configBefore
        before.news = newsBefore
        before.occurrences = occurrencesBefore
        notifier.restore(notes)
        told.length = 0
        for (const request of accepted) request.answer.reject(failure)
        return true
      },
    }
  }

  async function takeRequest(known: World, { command, config }: Request, now: number) {
    switch (command.kind) {
      case 'test_alert':
        if (known.config.alerts.smtp === undefined) {
          const text = 'no mail server is configured: set alerts.smtp in the configuration'
          throw new TucanoError('conflict', text)
        }
        return { mail: { id: notifier.testMail(now) } }
      case 'put_config': {
        if (config === undefined) throw new Error('put_config without its configuration')
        refuseStale(known, command.version)
        if (command.by === 'api') await boot.write(command.text)
        const result = foldConfig(known, { ...command, config }, now)
        notifier.configure(config.alerts)
        boot.applied(config)
        return result
      }
      default:
        return foldCommand(known, { command, newId }, now)
    }
  }

  /** The configuration's file was written before the commit that failed. */
  async function takeBack(known: World, refused: Request[], config: ControllerConfig) {
    boot.applied(config)
    const last = factsOf(known).config.at(-1)
    const isOurs = refused.some(({ command }) => 'by' in command && command.by === 'api')
    if (last === undefined || !isOurs) return
    await boot.write(last.text).catch((error: unknown) => {
      log.error({ error: messageOf(error) }, 'a refused configuration is still in its file')
    })
  }

  type Decided = { errands: Errand[]; wakeAt: number; mails: ReturnType<typeof notifier.decide> }

  function decide(known: World, now: number): Decided {
    const watched = watchWorkers(known, now)
    if (planned === undefined || planned.of !== factsVersion(known) || planned.wakeAt <= now) {
      const deployed = deploy(known, { newId, routed }, now)
      pending = deployed.pending
      planned = { of: factsVersion(known), wakeAt: deployed.wakeAt }
    }
    foldTopology(known, now)
    tellOfMissingWorkers(known, pending, now)
    notifier.tell(known.occurrences.splice(0), now)
    const mails = notifier.decide(now)
    for (const notice of mails.notices) tellNews(known, now, 'alert.notice', notice, {})
    if (mails.changed) {
      const { incidents, outbox } = notifier.state()
      setFacts(known, { incidents, outbox })
    }
    const wakeAt = Math.min(watched.wakeAt, planned.wakeAt, mails.wakeAt)
    return { errands: watched.errands, wakeAt, mails }
  }

  /** Changes with everything that a plan depends on, but the loads of the nodes. */
  function factsVersion(known: World): string {
    const { services, instances, nodes, facts } = known.tables
    const versions = [services, instances, nodes, facts].map(({ version }) => version())
    return [...versions, routedChanges].join()
  }

  /** Hands the balancer what changed; an instance that leaves the table is waited for. */
  function publish(known: World, now: number): void {
    const nodes = workersOf(known).map((machine) => {
      const seen = seenOf(known, machine.name)
      return {
        name: machine.name,
        ip: machine.ip,
        state: known.tables.nodes.get(machine.name)?.state ?? ('unknown' as const),
        metrics: seen.metrics ?? null,
        metricsAgeMs: seen.metrics === undefined ? null : now - seen.metricsAt,
        intervalMs: seen.intervalMs,
      }
    })
    const { services, instances } = known.tables
    const before = balancer?.table()
    const table = balancer?.publish(services.values(), instances.values(), nodes)
    if (table === before || table === undefined) return
    for (const route of table.routes) for (const { instance } of route.targets) routed.add(instance)
  }

  function act(known: World, decided: Decided, inbound: readonly Inbound[]): void {
    for (const assignment of orders.refresh(known)) {
      if (!keeper.isEpochDurable()) continue
      if (known.tables.nodes.get(assignment.node)?.state === 'alive') order(known, assignment)
    }
    for (const event of inbound) {
      if (event.kind !== 'report') continue
      const { node } = event.report
      if (known.tables.nodes.get(node) === undefined) {
        const text = `${node} is not in the topology`
        event.answer.reject(new TucanoError('forbidden', text))
      } else event.answer.resolve(ackOf(known, event.report))
    }
    for (const errand of decided.errands) run(known, errand)
    for (const { id, mail } of decided.mails.sends) {
      ports.mailer.send(mail).then(
        () => inbox.put({ kind: 'mailed', id, error: null }),
        (error: unknown) => inbox.put({ kind: 'mailed', id, error: messageOf(error) }),
      )
    }
    viewVersion += 1
    for (const listener of listeners) listener()
  }

  function logNews(news: readonly News[]): void {
    for (const item of news) {
      if (logged.has(item)) continue
      logged.add(item)
      log.info({ kind: item.kind, ...item.fields }, item.text)
    }
  }

  function ackOf(known: World, report: { node: string; epoch: number; generation: number }): Ack {
    if (!keeper.isEpochDurable()) return { epoch: 0, generation: 0 }
    const { epoch } = factsOf(known)
    const assignment = orders.of(report.node)
    const generation = assignment?.generation ?? 0
    const obeys = report.epoch === epoch && report.generation === generation
    return { epoch, generation, ...(obeys || assignment === undefined ? {} : { assignment }) }
  }

  /** One try for each change; what does not arrive goes with the answer to the next report. */
  function order(known: World, assignment: Assignment): void {
    const machine = workersOf(known).find(({ name }) => name === assignment.node)
    if (machine === undefined || underWay.size >= ORDERS_UNDER_WAY_MAX) return
    const mark = `${assignment.node} ${assignment.generation}`
    underWay.add(mark)
    ports.agents
      .order(machine, assignment)
      .then(
        (answer) => inbox.put({ kind: 'ordered', node: assignment.node, answer }),
        (error: unknown) =>
          log.warn({ node: assignment.node, error: messageOf(error) }, 'order did not arrive'),
      )
      .finally(() => underWay.delete(mark))
  }

  function run(known: World, { kind, machine }: Errand): void {
    const { probe_timeout } = known.config.health
    const node = machine.name
    if (kind === 'probe') {
      ports.agents.probe(machine, durationMs(probe_timeout)).then(
        () => inbox.put({ kind: 'probed', node, ok: true }),
        () => inbox.put({ kind: 'probed', node, ok: false }),
      )
      return
    }
    const command = machine.restart?.command
    const timeoutMs = durationMs(machine.restart?.timeout ?? '60s')
    const attempt =
      command === undefined
        ? ports.agents.probe(machine, durationMs(probe_timeout))
        : ports.machines.restart(command, timeoutMs)
    attempt.then(
      () => inbox.put({ kind: 'restarted', node, error: null }),
      (error: unknown) => inbox.put({ kind: 'restarted', node, error: messageOf(error) }),
    )
  }

  function observed(observation: Observation): void {
    inbox.put({ kind: 'observed', observation })
  }

  function noteObservation(known: World, observation: Observation, now: number): void {
    switch (observation.kind) {
      case 'drained':
        // It may have come back into the table meanwhile.
        if (!isInTable(observation.instance) && routed.delete(observation.instance)) {
          routedChanges += 1
        }
        return
      case 'unreachable':
        log.debug(observation, 'an instance was unreachable')
        return
      case 'listener_failed': {
        const { port, error } = observation
        tellNews(known, now, 'balancer.listener_failed', 'a port could not be opened', {
          port,
          error,
        })
        return
      }
    }
  }

  function isInTable(instance: string): boolean {
    const routes = balancer?.table().routes ?? []
    return routes.some(({ targets }) => targets.some((target) => target.instance === instance))
  }

  /** An agent that obeys a higher epoch has another controller, or this state is an old backup. */
  function noteEpoch(known: World, node: string, epoch: number): void {
    const { epoch: own, incidents } = factsOf(known)
    const about = { incident: 'second_controller', subject: node } as const
    const open = incidents.filter(
      ({ kind, over }) => kind === about.incident && !over.includes(node),
    )
    if (epoch === own && open.some(({ subjects }) => subjects.includes(node))) {
      known.occurrences.push({ ...about, what: 'ends', text: `${node} obeys this one again` })
    }
    if (epoch <= own) return
    const text =
      `${node} obeys another controller (epoch ${epoch}, ours is ${own}) and refuses our orders; ` +
      'stop one of the two'
    known.occurrences.push({ ...about, what: 'begins', text })
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
    return new Promise<Awaited<ReturnType<Ctld['submit']>>>((resolve, reject) => {
      inbox.put({ kind: 'request', command, config, answer: { resolve, reject } })
    })
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
    async report(report) {
      if (world === undefined) throw new TucanoError('starting', 'the controller is starting')
      return new Promise((resolve, reject) => {
        inbox.put({ kind: 'report', report, answer: { resolve, reject } })
      })
    },
    snapshot() {
      if (world === undefined) throw new TucanoError('starting', 'the controller is starting')
      if (view?.version !== viewVersion) {
        const extra = {
          version: viewVersion,
          pending,
          degraded: keeper.degraded(),
          lastEventCursor: keeper.lastEventCursor(),
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
