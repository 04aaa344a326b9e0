// Watches over the workers (M23): judges each one from what was seen of it, says when one dies or
// returns, and what is to be done about it. It writes through the folds of discovery alone.

import { foldFreeze, foldNodeState, foldThaw } from '#ctld/discovery/fold-node.ts'
import {
  factsOf,
  limitsOf,
  seenOf,
  tellNews,
  type World,
  workersOf,
} from '#ctld/discovery/world.ts'
import type { Pending } from '#ctld/snapshot.ts'
import type { Machine } from '#shared/configuration.ts'
import { durationMs } from '#shared/duration.ts'
import { judge, massFailure } from './judge.ts'

export type Errand = { kind: 'probe' | 'restart'; machine: Machine; why: string }

/** A worker that answers probes and does not report for so long is the sysadmin's business. */
const UNHEARD_MS = 60_000
/** A pause of the controller itself up to this is taken off every worker's silence. */
const SHORT_PAUSE_MS = 2_000

/** Judges every worker; the errands are for the loop to run. */
export function watchWorkers(world: World, now: number): { errands: Errand[]; wakeAt: number } {
  const errands: Errand[] = []
  let wakeAt = Number.POSITIVE_INFINITY
  for (const machine of workersOf(world)) {
    const result = watchWorker(world, machine, now)
    errands.push(...result.errands)
    wakeAt = Math.min(wakeAt, result.wakeAt)
  }
  watchForMassFailure(world, now)
  return { errands, wakeAt }
}

/** The controller stood still (stopped, swapped out): that time counts against no worker (F08). */
export function forgivePause(world: World, pauseMs: number, now: number): void {
  tellNews(world, now, 'controller.paused', 'the controller itself stood still', {
    ms: Math.round(pauseMs),
  })
  for (const [node, seen] of world.seen) {
    const state = world.tables.nodes.get(node)?.state
    if (state === 'dead' || state === 'reviving') continue
    const seenAt = pauseMs > SHORT_PAUSE_MS ? now : Math.min(now, seen.seenAt + pauseMs)
    world.seen.set(node, {
      ...seen,
      failedProbes: 0,
      isProbing: false,
      // A suspect stays one until it reports; its probes begin anew.
      seenAt: state === 'suspect' ? seen.seenAt : seenAt,
    })
  }
}

export function noteProbe(world: World, node: string, isOk: boolean): void {
  const seen = seenOf(world, node)
  if (!seen.isProbing) return
  const failedProbes = isOk ? 0 : seen.failedProbes + 1
  world.seen.set(node, { ...seen, isProbing: false, failedProbes })
}

export function noteRestart(world: World, node: string, error: string | null, now: number): void {
  const seen = seenOf(world, node)
  const attempts = seen.attempts + 1
  world.seen.set(node, { ...seen, isRestarting: false, lastAttemptAt: now, attempts })
  tellNews(world, now, 'node.restart_attempt', 'restart of a dead node was attempted', {
    node,
    attempt: attempts,
    result: error ?? 'the command succeeded; the node has yet to report',
  })
}

/** An agent that obeys a higher epoch has another controller, or this state is an old backup. */
export function noteEpoch(world: World, node: string, epoch: number): void {
  const { epoch: own, incidents } = factsOf(world)
  const about = { incident: 'second_controller', subject: node } as const
  const open = incidents.filter(({ kind, over }) => kind === about.incident && !over.includes(node))
  if (epoch === own && open.some(({ subjects }) => subjects.includes(node))) {
    world.occurrences.push({ ...about, what: 'ends', text: `${node} obeys this one again` })
  }
  if (epoch <= own) return
  const text =
    `${node} obeys another controller (epoch ${epoch}, ours is ${own}) and refuses our orders; ` +
    'stop one of the two'
  world.occurrences.push({ ...about, what: 'begins', text })
}

/** Tells of what waits because no worker is alive; a freeze is told of by itself (Q12). */
export function tellOfMissingWorkers(world: World, pending: readonly Pending[], now: number): void {
  const isAnyAlive = world.tables.nodes.values().some(({ state }) => state === 'alive')
  const grace = Math.max(
    0,
    ...workersOf(world).map((machine) => limitsOf(world, machine).startupGraceMs),
  )
  const subject = 'cluster'
  if (isAnyAlive || pending.length === 0) {
    world.occurrences.push({
      incident: 'no_workers',
      subject,
      what: 'ends',
      text: 'a worker is alive again, or nothing waits for one',
    })
  } else if (now - world.startedAt >= grace && factsOf(world).frozen === null) {
    const names = pending.map(({ service }) => service).join(', ')
    const text = `no worker is alive; these services wait for one: ${names}`
    world.occurrences.push({ incident: 'no_workers', subject, what: 'begins', text })
  }
}

function watchWorker(
  world: World,
  machine: Machine,
  now: number,
): { errands: Errand[]; wakeAt: number } {
  const limits = limitsOf(world, machine)
  const { name } = machine
  for (let transitions = 0; transitions < 4; transitions += 1) {
    const mark = world.tables.nodes.get(name)
    const seen = seenOf(world, name)
    if (mark === undefined) break
    // A report since its death or before its first appearance: it is here.
    const isBack = seen.hasReported && seen.seenAt > (seen.downAt ?? 0)
    const isHere = seen.hasReported && mark.state === 'unknown'
    if (isHere || (isBack && (mark.state === 'dead' || mark.state === 'reviving'))) {
      foldNodeState(world, name, 'alive', 'reports', now)
      continue
    }
    const verdict = judge(mark.state, seen, limits, now)
    if (verdict.state !== mark.state) {
      foldNodeState(world, name, verdict.state, verdict.why, now)
      continue
    }
    if (mark.state === 'suspect') tellOfUnheard(world, machine, now)
    if (verdict.order === 'nothing') return { errands: [], wakeAt: verdict.wakeAt }
    return { errands: [errandOf(world, machine, verdict.order, now)], wakeAt: verdict.wakeAt }
  }
  return { errands: [], wakeAt: now }
}

/** Its agent answers probes, so it is not dead; but nothing it reports arrives (M45). */
function tellOfUnheard(world: World, { name, ip }: Machine, now: number): void {
  const silentMs = now - seenOf(world, name).seenAt
  if (silentMs < UNHEARD_MS) return
  const text =
    `${name} (${ip}) answers but has not reported for a minute: its reports are refused or lost; ` +
    'see the log of its agent'
  world.occurrences.push({ incident: 'node_dead', subject: name, what: 'begins', text })
}

function errandOf(world: World, machine: Machine, kind: 'probe' | 'restart', now: number): Errand {
  const seen = seenOf(world, machine.name)
  const change = kind === 'probe' ? { isProbing: true, lastProbeAt: now } : { isRestarting: true }
  world.seen.set(machine.name, { ...seen, ...change })
  return { kind, machine, why: kind === 'probe' ? 'it is silent' : 'it is dead' }
}

/** Freezes re-placement while more than half of the workers vanished at once, and thaws it. */
export function watchForMassFailure(world: World, now: number): void {
  const nodes = world.tables.nodes.values().map((mark) => ({
    name: mark.name,
    state: mark.state,
    vanishedAt: world.seen.get(mark.name)?.vanishedAt,
  }))
  const windowMs = durationMs(world.config.health.mass_failure_window)
  const vanished = massFailure(nodes, windowMs, now)
  if (vanished.length > 0) foldFreeze(world, vanished, now)
  const { frozen } = factsOf(world)
  if (frozen === null) return
  const isGone = new Set(nodes.filter(({ state }) => state !== 'alive').map(({ name }) => name))
  const gone = frozen.nodes.filter((name) => isGone.has(name))
  tellOfFrozen(world, gone)
  if (vanished.length === 0 && gone.length * 2 <= nodes.length) {
    foldThaw(world, 'enough of the nodes are back', now)
  }
}

/** The alert goes out when the first death is confirmed, and names each node as it is. */
function tellOfFrozen(world: World, gone: readonly string[]): void {
  for (const name of gone) {
    const mark = world.tables.nodes.get(name)
    if (mark?.state !== 'reviving' && mark?.state !== 'dead') continue
    const text = `${name} vanished: ${mark.why}`
    world.occurrences.push({ incident: 'mass_failure', subject: name, what: 'begins', text })
  }
}

/** Duration of one sweep: the longest that the loop sleeps. */
export function sweepMs(world: World): number {
  return durationMs(world.config.health.sweep)
}
