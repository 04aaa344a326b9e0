// tucano show: all there is to know of one service, instance or node.

import type { Deployment, Instance } from '#shared/model.ts'
import type { DrainAnswer, HoldUp, InstancesAnswer, NodeAnswer, ServiceDetail } from './answers.ts'
import { servicePath } from './change-service.ts'
import { checkRows } from './check-rows.ts'
import { orUndefined } from './client.ts'
import type { Command, Context } from './command.ts'
import { drainText } from './drain-text.ts'
import { printInstances } from './instances.ts'
import { nodePath } from './node-path.ts'
import { reachOf } from './reach.ts'
import { receiptText } from './receipt.ts'
import { formerOf } from './revisions.ts'
import type { Screen } from './screen.ts'
import { plain, plainLine } from './table.ts'
import { trafficText } from './traffic.ts'
import { bytesText, instanceOf, instanceState, nodeState, percent, since } from './words.ts'

type Row = readonly [string, string | undefined]

export const show: Command = {
  name: 'show',
  summary: 'One service, instance or node in full',
  words: 'SERVICE|INSTANCE|NODE',
  options: [{ name: 'all', short: 'a', summary: 'instances that have ended, too' }],
  async run(context) {
    const [word = ''] = context.words
    const client = await context.client()
    const name = encodeURIComponent(word)
    const service = await orUndefined(client.get<ServiceDetail>(servicePath(word)))
    if (service !== undefined) {
      const reach = context.screen.json ? [] : await reachOf(client, service.service.config)
      return showService(context, service, reach)
    }
    const node = await orUndefined(client.get<NodeAnswer>(`/v1/nodes/${name}`))
    if (node !== undefined) {
      const { instances } = await client.get<InstancesAnswer>(`/v1/instances?node=${name}`)
      const isEmptied = node.drain !== null && node.instanceCount > 0
      const path = nodePath(word, '/drain')
      const holds = isEmptied ? (await client.get<DrainAnswer>(path)).holds : []
      return showNode(context, node, { instances, holds })
    }
    const { instances } = await client.get<InstancesAnswer>('/v1/instances?all=true')
    return showInstance(context, instanceOf(instances, word))
  },
}

function showService(context: Context, detail: ServiceDetail, reach: readonly string[]): number {
  const { screen, now, flags } = context
  if (screen.json) {
    screen.object(detail)
    return 0
  }
  const { service, summary, deployment, pending } = detail
  const { image } = service.config
  printRows(screen, [
    ['service', service.name],
    ['state', `${summary.state}, ${summary.running} of ${summary.wanted} running`],
    ['traffic', trafficRow(detail, now())],
    ['revision', revisionText(detail, now())],
    ['hosts', [service.name, ...summary.hosts].join(' ')],
    ['image', image.digest],
    ['build', image.build.map((argv) => argv.join(' ')).join('; ') || undefined],
    ['run', image.run.join(' ')],
    ...checkRows(service.config),
    ['deployment', deployment === null ? undefined : deploymentText(deployment)],
    ['receipt', deployment === null ? undefined : receiptText(deployment)],
    ...pending.map(({ count, why }): Row => ['pending', `${count} without a place: ${why}`]),
    ...reach.map((line): Row => ['reach', line]),
  ])
  const shown = detail.instances.filter((one) => flags.has('all') || isLive(one))
  if (shown.length > 0) {
    screen.line()
    printInstances(screen, shown, now(), { revisions: true })
  }
  if (deployment?.failure !== undefined) {
    screen.line()
    printFailure(screen, deployment.failure, deployment.failure.instance)
  }
  return 0
}

function showNode(
  context: Context,
  node: NodeAnswer,
  { instances, holds }: { instances: readonly Instance[]; holds: readonly HoldUp[] },
): number {
  const { screen, now } = context
  if (screen.json) {
    screen.object(node)
    return 0
  }
  const { metrics, isolation } = node
  const used = (part: number, all: number) => `${bytesText(part)} of ${bytesText(all)}`
  const labels = Object.entries(node.labels).map(([key, value]) => `${key}=${value}`)
  printRows(screen, [
    ['node', node.name],
    ['state', `${nodeState(node).text}: ${node.why}`],
    ['since', `${since(node.changedAt, now())} ago`],
    ['drain', node.drain === null ? undefined : drainText(node.drain, now())],
    ...holds.map(({ service, why }): Row => ['still there', `${service}: ${plain(why)}`]),
    ['agent', `${node.ip}:${node.agent_port}, version ${node.agentVersion ?? 'not known'}`],
    ['labels', labels.join(' ') || undefined],
    ['cpu', metrics ? `${percent(metrics.cpu)} of ${metrics.cores} cores` : undefined],
    ['memory', metrics ? used(metrics.memory_used, metrics.memory_total) : undefined],
    ['disk', metrics ? used(metrics.disk_used, metrics.disk_total) : undefined],
    ['instances', String(node.instanceCount)],
    ['limits', isolation ? `${isolation.mode}: ${isolation.why}` : undefined],
    ['programs', isolation ? `run as ${isolation.user}: ${isolation.user_why}` : undefined],
  ])
  if (instances.length > 0) {
    screen.line()
    printInstances(screen, instances, now())
  }
  return 0
}

function showInstance(context: Context, instance: Instance): number {
  const { screen, now } = context
  if (screen.json) {
    screen.object(instance)
    return 0
  }
  const { port, pid } = instance
  printRows(screen, [
    ['instance', instance.id],
    ['service', `${instance.service}, revision ${instance.revision}`],
    ['node', instance.node],
    ['state', `${instanceState(instance).text} (${instance.state}): ${instance.why}`],
    ['since', `${since(instance.changedAt, now())} ago`],
    ['port', port === undefined ? undefined : String(port)],
    ['pid', pid === undefined ? undefined : String(pid)],
    ['attempt', String(instance.attempt)],
    ['restarts', String(instance.restarts)],
    ['deployment', instance.deployment],
    ['replaces', instance.replaces],
  ])
  if (instance.failure !== undefined) {
    screen.line()
    printFailure(screen, instance.failure, instance.id)
  }
  return 0
}

function printRows(screen: Screen, rows: readonly Row[]): void {
  for (const [key, value] of rows) {
    if (value !== undefined) screen.line(`${key.padEnd(11)} ${plain(value)}`)
  }
}

function printFailure(
  screen: Screen,
  failure: NonNullable<Instance['failure']>,
  instance: string,
): void {
  screen.line(`failure of ${instance}: ${plain(failure.error)}`)
  if (failure.last_probe !== undefined) {
    screen.line(`  last health check: ${plain(failure.last_probe)}`)
  }
  for (const line of failure.log_tail ?? []) screen.line(`  | ${plainLine(line)}`)
}

/** An open service has no such row: that is how services are. */
function trafficRow({ service, summary }: ServiceDetail, now: number): string | undefined {
  if (summary.traffic.state === 'open') return undefined
  const { traffic } = service
  const page = traffic.state === 'maintenance' ? traffic.page : undefined
  const size = page === undefined ? '' : `, with a page of ${bytesText(Buffer.byteLength(page))}`
  return `${trafficText(summary.traffic, now)}${size}; to end it: tucano resume ${service.name}`
}

function revisionText(detail: ServiceDetail, now: number): string {
  const { revision, changedAt } = detail.service
  const former = formerOf(detail)
  const wanted = `${revision}, changed ${since(changedAt, now)} ago`
  return former === undefined ? wanted : `${wanted}; ${former}`
}

function deploymentText({ kind, state, why }: Deployment): string {
  return `${kind}: ${state}, ${why}`
}

function isLive({ state }: Instance): boolean {
  return ['deploying', 'pre_terminating', 'started', 'terminating', 'lost'].includes(state)
}
