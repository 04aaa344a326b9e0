// Front door of the monitor (M25): samples this node and pushes metrics and status, regularly and
// at once when an instance changes. One report is under way at a time; sequence numbers grow.

import type { AgentdPorts } from '#agentd/ports.ts'
import type { Process } from '#agentd/runner/process.ts'
import { messageOf } from '#shared/errors.ts'
import { createLoop } from '#shared/loop.ts'
import type { InstanceUsage, NodeMetrics } from '#shared/model.ts'
import type { Ack, Report } from '#shared/wire.ts'
import { nextRegularAt, nextReportAt, type Rhythm, statusesOf } from './report.ts'

/** A machine too busy to be measured reports without new measurements. */
export const SAMPLE_MS_MAX = 500

export type Monitor = {
  start(): void
  /** Something changed that the controller should know soon. */
  tell(): void
  /** What would be reported now. */
  snapshot(): Report
  isFailing(): boolean
  stop(): Promise<void>
}

export function createMonitor(
  ports: AgentdPorts,
  options: {
    node: string
    version: string
    intervalMs: number
    obeyed: () => { epoch: number; generation: number }
    processes: () => ReadonlyMap<string, Process>
    onAck: (ack: Ack, sentAt: number) => void
    onBug: (error: unknown) => void
  },
): Monitor {
  const { clock, dice, log, programs, sensors, controller } = ports
  const session = ports.ids.next()
  const rhythm: Rhythm = { regularAt: undefined, lastAt: 0, isFailing: false, hasChanged: false }
  let isStarted = false
  let random = 0
  let sequence = 0
  let metrics: NodeMetrics | undefined
  let usage = new Map<string, InstanceUsage>()

  const loop = createLoop({ clock, step, onBug: options.onBug })

  async function step(): Promise<number> {
    const now = clock.now()
    if (now >= nextReportAt(rhythm, options.intervalMs, random)) await report(now)
    return nextReportAt(rhythm, options.intervalMs, random)
  }

  async function report(now: number): Promise<void> {
    const isRegular = now >= nextRegularAt(rhythm, options.intervalMs, random)
    rhythm.lastAt = now
    if (isRegular) {
      rhythm.regularAt = now
      random = dice.random()
      await measured()
    }
    rhythm.hasChanged = false
    sequence += 1
    const sentAt = clock.now()
    try {
      const ack = await controller.report(snapshot())
      if (rhythm.isFailing) log.info({}, 'the controller answers again')
      rhythm.isFailing = false
      options.onAck(ack, sentAt)
    } catch (error) {
      if (!rhythm.isFailing) log.warn({ why: messageOf(error) }, 'the controller does not answer')
      rhythm.isFailing = true
    }
  }

  async function measured(): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>()
    const cancel = clock.after(SAMPLE_MS_MAX, resolve)
    const both = Promise.all([measureNode(), measureInstances()])
    await Promise.race([both, late])
    cancel()
  }

  async function measureNode(): Promise<void> {
    try {
      metrics = await sensors.sample()
    } catch (error) {
      log.warn({ why: messageOf(error) }, 'this node could not be measured')
    }
  }

  async function measureInstances(): Promise<void> {
    const found = new Map<string, InstanceUsage>()
    for (const [id, { page }] of options.processes()) {
      if (page.program === undefined) continue
      // One that cannot be measured is reported without usage.
      const used = await programs.usage(id, page.program).catch(() => undefined)
      if (used !== undefined) found.set(id, used)
    }
    usage = found
  }

  function snapshot(): Report {
    return {
      node: options.node,
      agent: { version: options.version, boot: programs.boot(), session },
      sequence,
      interval_ms: options.intervalMs,
      ...options.obeyed(),
      ...(metrics === undefined ? {} : { metrics }),
      isolation: programs.isolation(),
      instances: statusesOf([...options.processes().values()], usage),
    }
  }

  return {
    start() {
      isStarted = true
      random = dice.random()
      rhythm.lastAt = clock.now()
      loop.wake()
    },
    tell() {
      rhythm.hasChanged = true
      if (isStarted) loop.wake()
    },
    snapshot,
    isFailing: () => rhythm.isFailing,
    stop: () => loop.stop(),
  }
}
