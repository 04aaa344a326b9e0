// Decides which instances take which requests: the route table that the data plane reads.
// Pure; sorted by code unit, so that the order of the facts never changes the table.

import { hasPlace } from '#ctld/instance.ts'
import type { HashKey, Route, RouteTable, Target } from '#ctld/ports.ts'
import { isCurrent } from '#ctld/revision.ts'
import type { HashRule } from '#shared/configuration.ts'
import { idleDefaults } from '#shared/defaults.ts'
import { durationMs } from '#shared/duration.ts'
import type { Instance, NodeState, Rollout, Service, ServiceTraffic } from '#shared/model.ts'
import { sizeBytes } from '#shared/size.ts'
import { PAUSE_DEFAULT, PAUSE_MAX, PAUSE_SLACK_MS } from '#shared/traffic-control.ts'
import { ringSharesOf, sharesOf } from './shares.ts'
import { type Reading, weigh } from './weigh.ts'

export type BalancedNode = Reading & { name: string; ip: string; state: NodeState }

/** Silence alone takes no node out of the table: passive ejection is quicker, knows more (Q04). */
const routableNodeStates: ReadonlySet<NodeState> = new Set(['alive', 'suspect', 'unknown'])

/**
 * The whole table (M35). A service that is declared but has no live instance keeps its route,
 * empty, and is answered 503 (T07); a removed or private one has none and is answered 404.
 */
export function routeTable(
  services: readonly Service[],
  instances: readonly Instance[],
  nodes: readonly BalancedNode[],
  version: number,
): RouteTable {
  const nodeByName = new Map(nodes.map((node) => [node.name, node]))
  const instancesByService = Map.groupBy(instances, (instance) => instance.service)
  const routed = services.filter(({ desired, config }) => desired !== 'removed' && config.public)
  return {
    version,
    routes: routed
      .map((service) => routeOf(service, instancesByService.get(service.name) ?? [], nodeByName))
      .sort((left, right) => byCodeUnit(left.service, right.service)),
  }
}

/**
 * What `candidate` claims although another service has it already, in words; empty when nothing.
 * Two owners of one address would make the answer depend on who comes first.
 */
export function hostConflicts(
  services: readonly Service[],
  candidate: Pick<Service, 'name' | 'config'>,
): string[] {
  const others = services
    .filter(({ name, desired }) => name !== candidate.name && desired !== 'removed')
    .sort((left, right) => byCodeUnit(left.name, right.name))
  return others.flatMap((other) => conflictsBetween(other, candidate))
}

function conflictsBetween(
  other: Pick<Service, 'name' | 'config'>,
  candidate: Pick<Service, 'name' | 'config'>,
): string[] {
  const taken = new Set(hostsOf(other))
  const words = hostsOf(candidate)
    .filter((host) => taken.has(host))
    .map((host) => `host ${host} belongs to service ${other.name}`)
  for (const [path, owner] of [
    [candidate.config.path, other],
    [other.config.path, candidate],
  ] as const) {
    if (path !== undefined && isWithin(prefixOf(path), prefixOf(ownPath(owner.name)))) {
      words.push(`path ${path} belongs to service ${owner.name}`)
    }
  }
  const [mine, theirs] = [candidate.config.path, other.config.path]
  if (mine !== undefined && theirs !== undefined && prefixOf(mine) === prefixOf(theirs)) {
    words.push(`path ${mine} belongs to service ${other.name}`)
  }
  const port = candidate.config.public_port
  if (port !== undefined && port === other.config.public_port) {
    words.push(`public_port ${port} belongs to service ${other.name}`)
  }
  return words
}

function routeOf(
  service: Service,
  instances: readonly Instance[],
  nodeByName: ReadonlyMap<string, BalancedNode>,
): Route {
  const { name, config, desired, traffic } = service
  const serving = desired === 'running' ? servingOf(service, instances, nodeByName) : []
  return {
    service: name,
    protocol: config.protocol,
    hosts: hostsOf({ name, config }),
    paths: pathsOf({ name, config }),
    ...(config.public_port === undefined ? {} : { publicPort: config.public_port }),
    proxyProtocol: config.proxy_protocol,
    ...choiceOf(service),
    ...trafficOf(traffic),
    connectMs: durationMs(config.timeouts.connect),
    responseMs: durationMs(config.timeouts.response),
    idleMs: durationMs(config.timeouts.idle ?? idleDefaults[config.protocol]),
    bodyMax: sizeBytes(config.limits.body),
    pipelining: config.pipelining === 'auto',
    targets: serving.sort((left, right) => byCodeUnit(left.instance, right.instance)),
  }
}

/**
 * A request that comes first waits for the whole pause, and a moment more: a controller that has
 * just been started again opens late.
 */
function trafficOf(traffic: ServiceTraffic) {
  switch (traffic.state) {
    case 'open':
      return { traffic: traffic.state, pauseMs: durationMs(PAUSE_DEFAULT) }
    case 'paused': {
      const longest = Math.min(traffic.until - traffic.since, durationMs(PAUSE_MAX))
      const pauseMs = longest + PAUSE_SLACK_MS
      return { traffic: traffic.state, pauseMs }
    }
    case 'maintenance': {
      const page = traffic.page === undefined ? {} : { maintenancePage: traffic.page }
      return { traffic: traffic.state, pauseMs: durationMs(PAUSE_DEFAULT), ...page }
    }
  }
}

/** How an instance is chosen, and what happens when none is free. */
function choiceOf({ config, rollout }: Service) {
  const { balance, sticky, slow_start, limits, hold } = config
  return {
    // A share is a matter of weights: a rule that goes by anything else would not keep to it.
    balance: isShared(rollout) && balance !== 'hash' ? ('weighted_round_robin' as const) : balance,
    ...(balance === 'hash' ? { hash: hashKeyOf(config.hash) } : {}),
    ...(sticky?.cookie === undefined ? {} : { stickyCookie: sticky.cookie }),
    slowStartMs: durationMs(slow_start),
    inFlightMax: limits.in_flight,
    queueMax: limits.queue,
    queueMs: durationMs(limits.queue_timeout),
    holdMs: durationMs(hold),
  }
}

// Names of fields are compared in lower case, those of cookies as they are.
function hashKeyOf(hash: HashRule | undefined): HashKey {
  if (hash === undefined || hash.by === 'ip' || hash.name === undefined) return { by: 'ip' }
  if (hash.by === 'cookie') return { by: 'cookie', name: hash.name }
  return { by: 'header', name: hash.name.toLowerCase() }
}

// Never more than `concurrency` (Q03), whatever was admitted: the planner lets a new instance in as
// it takes an old one out. Among equals the oldest stays: no table changes without a cause.
function servingOf(
  service: Service,
  instances: readonly Instance[],
  nodeByName: ReadonlyMap<string, BalancedNode>,
): Target[] {
  const { config, rollout } = service
  const known = instances.map((instance) => ({ instance, isNew: isCurrent(service, instance) }))
  const serving = known
    .sort((a, b) => Number(b.isNew) - Number(a.isNew) || byCodeUnit(a.instance.id, b.instance.id))
    .flatMap(({ instance, isNew }) =>
      targetOf(instance, nodeByName.get(instance.node)).map((target) => ({ target, isNew })),
    )
    .slice(0, config.concurrency)
  const targets = serving.map(({ target }) => target)
  if (!isShared(rollout)) return targets
  const members = serving.map(({ target, isNew }) => ({ weight: target.weight, isNew }))
  const shares = (config.balance === 'hash' ? ringSharesOf : sharesOf)(members, rollout.percent)
  return targets.map((target, at) => ({ ...target, weight: shares[at] ?? target.weight }))
}

function isShared(rollout: Rollout | undefined): rollout is Rollout {
  return rollout !== undefined && rollout.percent < 100
}

function targetOf(instance: Instance, node: BalancedNode | undefined): Target[] {
  const { id, port, healthy } = instance
  if (!hasPlace(instance) || !healthy || port === undefined) return []
  if (node === undefined || !routableNodeStates.has(node.state)) return []
  return [{ instance: id, node: node.name, host: node.ip, port, weight: weigh(node) }]
}

function hostsOf({ name, config }: Pick<Service, 'name' | 'config'>): string[] {
  if (config.protocol === 'tcp') return []
  const hosts = [name, ...config.hosts].map((host) => host.toLowerCase())
  return [...new Set(hosts)].sort(byCodeUnit)
}

function pathsOf({ name, config }: Pick<Service, 'name' | 'config'>): string[] {
  if (config.protocol === 'tcp') return []
  return [ownPath(name), ...(config.path === undefined ? [] : [config.path])].sort(byCodeUnit)
}

function ownPath(name: string): string {
  return `/svc/${name}/`
}

function prefixOf(path: string): string {
  return path.replace(/\/+$/, '')
}

function isWithin(path: string, prefix: string): boolean {
  return path === prefix || path.startsWith(`${prefix}/`)
}

function byCodeUnit(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0
}
