// The standing warning (N-1): tells when the loss of any one worker would leave something without
// a place, and when that is over. It looks only when facts changed, at most once a second, at a
// few workers a time, and believes only what has held for a minute.

import { spareFactsOf } from './deployer/deployer.ts'
import { judgedBySpare, lacksWithout } from './deployer/spare.ts'
import { factsOf, tellNews, type World } from './discovery/world.ts'
import type { Spare, SpareLack } from './snapshot.ts'

/** How long it must have been so before it is told of, and so again before it is over. */
export const SPARE_AFTER_MS = 60_000
const CHECK_MS = 1_000
/** Workers that are looked at in one step of the loop. */
const NODES_AT_ONCE = 64
const NODES_PAUSE_MS = 100

export type SpareWatch = {
  /** `version` changes with all that matters. Answers when to be called again. */
  watch(world: World, version: string, now: number): number
  spare(): Spare
}

type Pass = { left: string[]; lacks: SpareLack[]; nextAt: number }
type Since = { isLacking: boolean; at: number; lack: SpareLack | undefined }

export function createSpareWatch(): SpareWatch {
  let looked: { version: string; at: number } | undefined
  let pass: Pass | undefined
  let spare: Spare = { state: 'unknown', lacks: [] }
  const since = new Map<string, Since>()

  function watch(world: World, version: string, now: number): number {
    if (pass === undefined && looked?.version === version) return tell(world, now)
    const facts = spareFactsOf(world)
    const open = facts.nodes.filter(({ state, drained }) => state === 'alive' && !drained)
    // While it is not clear who is gone for good, nothing that is seen says what would be.
    if (factsOf(world).frozen !== null || open.length <= 1) {
      pass = undefined
      looked = { version, at: now }
      since.clear()
      spare = { state: open.length === 1 ? 'single' : 'unknown', lacks: [] }
      return Number.POSITIVE_INFINITY
    }
    if (pass === undefined) {
      const dueAt = (looked?.at ?? Number.NEGATIVE_INFINITY) + CHECK_MS
      if (dueAt > now) return Math.min(dueAt, tell(world, now))
      looked = { version, at: now }
      pass = { left: open.map(({ name }) => name), lacks: [], nextAt: now }
    }
    if (pass !== undefined && pass.nextAt <= now) go(pass, facts, now)
    return Math.min(pass?.nextAt ?? Number.POSITIVE_INFINITY, tell(world, now))
  }

  function go(under: Pass, facts: ReturnType<typeof spareFactsOf>, now: number): void {
    under.lacks.push(...lacksWithout(under.left.splice(0, NODES_AT_ONCE), facts))
    under.nextAt = now + NODES_PAUSE_MS
    if (under.left.length > 0) return
    pass = undefined
    spare = { state: under.lacks.length === 0 ? 'ok' : 'lacking', lacks: under.lacks }
    const judged = new Set(judgedBySpare(facts).map(({ name }) => name))
    for (const service of judged) note(service, worstOf(under.lacks, service), now)
    // One that is being changed keeps its mark; one that is gone has none.
    const names = new Set(facts.services.map(({ name }) => name))
    for (const service of since.keys()) if (!names.has(service)) since.delete(service)
  }

  function note(service: string, lack: SpareLack | undefined, now: number): void {
    const isLacking = lack !== undefined
    const known = since.get(service)
    const at = known?.isLacking === isLacking ? known.at : now
    since.set(service, { isLacking, at, lack })
  }

  /** Tells what has held for long enough; answers when the next one will have. */
  function tell(world: World, now: number): number {
    const told = subjectsOf(world)
    let wakeAt = Number.POSITIVE_INFINITY
    for (const [service, { isLacking, at, lack }] of since) {
      if (isLacking === told.has(service)) continue
      if (at + SPARE_AFTER_MS > now) wakeAt = Math.min(wakeAt, at + SPARE_AFTER_MS)
      else if (lack !== undefined) begin(world, lack, now)
      else end(world, service, now)
    }
    for (const service of told) {
      if (world.tables.services.get(service)?.desired !== 'running') end(world, service, now)
    }
    return wakeAt
  }

  return { watch, spare: () => spare }
}

function worstOf(lacks: readonly SpareLack[], service: string): SpareLack | undefined {
  const mine = lacks.filter((lack) => lack.service === service)
  return mine.reduce<SpareLack | undefined>(
    (worst, lack) => (worst === undefined || lack.count > worst.count ? lack : worst),
    undefined,
  )
}

/** Services of which it is known that they lack a spare place. */
function subjectsOf(world: World): Set<string> {
  const open = factsOf(world).incidents.filter(
    ({ kind, state }) => kind === 'no_spare' && state !== 'recovered',
  )
  return new Set(
    open.flatMap(({ subjects, over }) => subjects.filter((subject) => !over.includes(subject))),
  )
}

function begin(world: World, { service, node, count, why }: SpareLack, now: number): void {
  const text = `${service}: if ${node} were lost, ${count} would have no place: ${why}`
  world.occurrences.push({ incident: 'no_spare', subject: service, what: 'begins', text })
  const fields = { service, without: node, count, why }
  tellNews(world, now, 'service.no_spare', 'the loss of one worker would leave no place', fields)
}

function end(world: World, service: string, now: number): void {
  const text = `${service}: the loss of any one worker would leave it its places`
  world.occurrences.push({ incident: 'no_spare', subject: service, what: 'ends', text })
  tellNews(world, now, 'service.spare', 'the loss of any one worker leaves its places', { service })
}
