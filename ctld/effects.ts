// What the controller does once a step is on disk: orders and answers to the agents, probes and
// restarts, mails, the log. Nothing is waited for here: each outcome comes back through the inbox.

import { durationMs } from '#shared/duration.ts'
import { messageOf, TucanoError } from '#shared/errors.ts'
import type { Ack, Assignment } from '#shared/wire.ts'
import type { Errand } from './agent-manager/agent-manager.ts'
import type { Orders } from './deployer/deployer.ts'
import type { OutboxMail } from './discovery/document.ts'
import type { Keeper } from './discovery/keeper.ts'
import { factsOf, type News, type World, workersOf } from './discovery/world.ts'
import type { Inbound, Inbox } from './inbox.ts'
import type { CtldPorts } from './ports.ts'
import { valuesFor } from './secrets/secrets.ts'

const ORDERS_UNDER_WAY_MAX = 64

export type Todo = { errands: readonly Errand[]; sends: readonly OutboxMail[] }

export type Effects = {
  /** Sends what changed of the orders, answers the reports, and does what was decided. */
  act(world: World, todo: Todo, inbound: readonly Inbound[]): void
  logNews(news: readonly News[]): void
}

export function createEffects(
  ports: CtldPorts,
  parts: { inbox: Inbox; keeper: Keeper; orders: Orders },
): Effects {
  const { log } = ports
  const { inbox, keeper, orders } = parts
  const underWay = new Set<string>()
  /** News that keep waiting for a disk that refuses are logged once. */
  const logged = new WeakSet<News>()

  function act(world: World, todo: Todo, inbound: readonly Inbound[]): void {
    for (const assignment of orders.refresh(world)) {
      if (!keeper.isEpochDurable()) continue
      if (world.tables.nodes.get(assignment.node)?.state === 'alive') order(world, assignment)
    }
    for (const event of inbound) {
      if (event.kind !== 'report') continue
      const { node } = event.report
      if (world.tables.nodes.get(node) === undefined) {
        const text = `${node} is not in the topology`
        event.answer.reject(new TucanoError('forbidden', text))
      } else event.answer.resolve(ackOf(world, event.report))
    }
    for (const errand of todo.errands) run(world, errand)
    for (const { id, mail } of todo.sends) {
      ports.mailer.send(mail).then(
        () => inbox.put({ kind: 'mailed', id, error: null }),
        (error: unknown) => inbox.put({ kind: 'mailed', id, error: messageOf(error) }),
      )
    }
  }

  function logNews(news: readonly News[]): void {
    for (const item of news) {
      if (logged.has(item)) continue
      logged.add(item)
      log.info({ kind: item.kind, ...item.fields }, item.text)
    }
  }

  function ackOf(world: World, report: { node: string; epoch: number; generation: number }): Ack {
    if (!keeper.isEpochDurable()) return { epoch: 0, generation: 0 }
    const { epoch } = factsOf(world)
    const assignment = orders.of(report.node)
    const generation = assignment?.generation ?? 0
    const obeys = report.epoch === epoch && report.generation === generation
    if (obeys || assignment === undefined) return { epoch, generation }
    return { epoch, generation, assignment: withSecrets(assignment) }
  }

  /** Only in what leaves for the agent: the orders themselves are kept without values. */
  function withSecrets(assignment: Assignment): Assignment {
    const values = valuesFor(ports.secrets, assignment.instances)
    return values.length === 0 ? assignment : { ...assignment, secrets: values }
  }

  /** One try for each change; what does not arrive goes with the answer to the next report. */
  function order(world: World, assignment: Assignment): void {
    const machine = workersOf(world).find(({ name }) => name === assignment.node)
    if (machine === undefined || underWay.size >= ORDERS_UNDER_WAY_MAX) return
    const mark = `${assignment.node} ${assignment.generation}`
    underWay.add(mark)
    ports.agents
      .order(machine, withSecrets(assignment))
      .then(
        (answer) => inbox.put({ kind: 'ordered', node: assignment.node, answer }),
        (error: unknown) =>
          log.warn({ node: assignment.node, error: messageOf(error) }, 'order did not arrive'),
      )
      .finally(() => underWay.delete(mark))
  }

  function run(world: World, { kind, machine }: Errand): void {
    const { probe_timeout } = world.config.health
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

  return { act, logNews }
}
