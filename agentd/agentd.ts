// Joins the parts of an agent (M15): the runner that makes what runs what was assigned, and the
// monitor that reports it. The newest order wins, whether pushed or the answer to a report. It is
// saved before it is obeyed, for a restart; of one that cannot be saved only the stops are obeyed.

import { TucanoError } from '#shared/errors.ts'
import { createLoop } from '#shared/loop.ts'
import { createOneAtATime } from '#shared/one-at-a-time.ts'
import type { Ack, AssignedInstance, Assignment, OrderAnswer, Report } from '#shared/wire.ts'
import { createMonitor } from './monitor/monitor.ts'
import type { AgentdPorts } from './ports.ts'
import { createRunner } from './runner/runner.ts'
import { createSecrets } from './secrets/secrets.ts'

/** A silence in which no more reports than this were due says nothing of the controller. */
const REPORTS_MISSED_MIN = 3

export type AgentdConfig = {
  name: string
  version: string
  publishIntervalMs: number
  portRange: { from: number; to: number }
}

export type AgentHealth = {
  status: 'starting' | 'ok' | 'stopping'
  node: string
  version: string
  /** Whether the last report reached the controller. */
  reporting: boolean
}

export type Agentd = {
  /** Takes up what a former run left; from then on orders are obeyed and reports are sent. */
  start(): Promise<void>
  /** Leaves the programs running. */
  stop(): Promise<void>
  /** Ends all programs; no order is obeyed and nothing is reported any more. */
  stopPrograms(): Promise<void>
  /** Rejects with `forbidden` (another node's order), `starting`, `unavailable`, `store_failed`. */
  obey(assignment: Assignment): Promise<OrderAnswer>
  health(): AgentHealth
  /** What would be reported now. */
  status(): Report
  /** Called after each change of an instance's phase or port. */
  onChange(listener: () => void): void
}

/** `onBug` gets what should never happen; by default it ends the process. */
export function createAgentd(
  ports: AgentdPorts,
  config: AgentdConfig,
  onBug: (error: unknown) => void = throwUncaught,
): Agentd {
  const { clock, log, notebook } = ports
  const secrets = createSecrets(ports)
  const orders = createOneAtATime('orders')
  const listeners: (() => void)[] = []
  let assigned: readonly AssignedInstance[] = []
  let obeyed = { epoch: 0, generation: 0 }
  let status: AgentHealth['status'] = 'starting'
  let heardAt = clock.now()

  const runner = createRunner(
    { ...ports, secrets },
    {
      portRange: config.portRange,
      contact: () => ({ heardAt, silenceMsMin: REPORTS_MISSED_MIN * config.publishIntervalMs }),
      onNews() {
        if (status !== 'starting') loop.wake()
      },
      onChange() {
        monitor.tell()
        for (const listener of listeners) listener()
      },
      onBug,
    },
  )
  const loop = createLoop({ clock, step: async () => runner.step(), onBug })
  const monitor = createMonitor(ports, {
    node: config.name,
    version: config.version,
    intervalMs: config.publishIntervalMs,
    obeyed: () => obeyed,
    processes: () => runner.processes(),
    onAck: heed,
    onBug,
  })

  function obey(assignment: Assignment): Promise<OrderAnswer> {
    if (assignment.node !== config.name) {
      const what = `an order for ${assignment.node} reached ${config.name}`
      return Promise.reject(new TucanoError('forbidden', what))
    }
    return orders.run(async () => {
      if (status === 'starting') throw new TucanoError('starting', 'the agent is starting')
      if (status === 'stopping') throw new TucanoError('unavailable', 'the agent is stopping')
      const newer = compareOrders(assignment, obeyed)
      if (newer < 0) {
        const { epoch, generation } = assignment
        log.warn({ epoch, generation, obeyed }, 'refused an order older than the one obeyed')
      }
      if (newer > 0) {
        const order = await secrets.take(assignment)
        await notebook.saveAssignment(order).catch((error: unknown) => {
          // What fills the disk can be stopped; the rest waits until the order can be saved.
          assign(stopsOf(order.instances, assigned))
          throw error
        })
        obeyed = { epoch: assignment.epoch, generation: assignment.generation }
        assign(order.instances)
      }
      if (newer >= 0) heard(clock.now())
      return { accepted: newer >= 0, ...obeyed }
    })
  }

  function assign(instances: readonly AssignedInstance[]): void {
    assigned = instances
    runner.assign(instances)
    if (status !== 'starting') loop.wake()
  }

  /** Its programs may run on for as long as the silence lasts that they were given. */
  function heard(at: number): void {
    heardAt = Math.max(heardAt, at)
  }

  function heed(ack: Ack, sentAt: number): void {
    if (ack.epoch < obeyed.epoch) {
      log.warn({ epoch: ack.epoch, obeyed }, 'ignored a controller of a former epoch')
      return
    }
    // From when it was asked: later the controller may have been cut off already.
    heard(sentAt)
    if (ack.assignment === undefined || status !== 'ok') return
    obey(ack.assignment).catch((error: unknown) => {
      if (!(error instanceof TucanoError)) return onBug(error)
      log.error({ code: error.code, why: error.message }, 'an order could not be obeyed')
    })
  }

  return {
    async start() {
      const { assignment, pages, notices } = await notebook.load()
      heard(clock.now())
      for (const notice of notices) log.warn({ notice }, 'the notebook was damaged')
      await secrets.restore()
      await runner.restore(pages)
      if (assignment !== undefined) {
        const { epoch, generation, instances } = assignment
        // An order that cannot be obeyed as a whole is asked for again, as one that was missed.
        obeyed = { epoch, generation: secrets.suffice(instances) ? generation : generation - 1 }
      }
      // A lost order stops nothing: the pages say what ran, until the controller speaks.
      assign(assignment?.instances ?? pages.map(({ spec }) => spec))
      status = 'ok'
      const instances = runner.processes().size
      log.info({ node: config.name, version: config.version, instances }, 'agent started')
      loop.wake()
      monitor.start()
    },
    async stop() {
      status = 'stopping'
      // A report under way is not waited for: its answer does not matter any more.
      void monitor.stop()
      await loop.stop()
      await runner.close()
      log.info({ node: config.name }, 'agent stopped; its programs run on')
    },
    async stopPrograms() {
      status = 'stopping'
      void monitor.stop()
      await runner.stopAll()
      await secrets.drop()
    },
    obey,
    health: () => ({
      status,
      node: config.name,
      version: config.version,
      reporting: !monitor.isFailing(),
    }),
    status: () => monitor.snapshot(),
    onChange(listener) {
      listeners.push(listener)
    },
  }
}

/** What was assigned, without what a newer order stops. */
function stopsOf(
  newer: readonly AssignedInstance[],
  assigned: readonly AssignedInstance[],
): AssignedInstance[] {
  const wanted = new Map(newer.map((spec) => [spec.id, spec]))
  return assigned.flatMap((spec) => {
    const next = wanted.get(spec.id)
    if (next === undefined) return []
    return next.want === 'stop' ? next : spec
  })
}

function compareOrders(
  a: { epoch: number; generation: number },
  b: { epoch: number; generation: number },
): number {
  return a.epoch - b.epoch || a.generation - b.generation
}

function throwUncaught(error: unknown): void {
  queueMicrotask(() => {
    throw error
  })
}
