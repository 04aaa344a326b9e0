// The standing warning (N-1): tells when the loss of any one worker would leave something without
// a place, and when that is over. It looks only when facts changed, at most once a second, at a
// few workers a time, and believes only what has held for a minute.

import { spareFactsOf } from './deployer/deployer.ts'
import { judgedBySpare, lookoutFrom, type SpareFacts } from './deployer/spare.ts'
import { factsOf, tellNews, type World } from './discovery/world.ts'
import type { Spare, SpareLack } from './snapshot.ts'

/** How long it must have been so before it is told of, and so again before it is over. */
export const SPARE_AFTER_MS = 60_000
const CHECK_MS = 1_000
/** Pairs of workers that are looked at in one step of the loop: some 20 ms of work. */
const PAIRS_AT_ONCE = 800
const NODES_PAUSE_MS = 100

export type SpareWatch = {
  /** `version` changes with all that matters. Answers when to be called again. */
  watch(world: World, version: string, now: number): number
  spare(): Spare
}

/** One look at all workers, as things were when it began. */
type Pass = {
  facts: SpareFacts
  lookout: (lost: string) => SpareLack[]
  left: string[]
  lacks: SpareLack[]
  nextAt: number
}
type Since = { isLacking: boolean; at: number; lack: SpareLack | undefined }

export function createSpareWatch(): SpareWatch {
  let looked: { version: string; at: number } | undefined
  let pass: Pass | undefined
  let spare: Spare = { state: 'unknown', lacks: [] }
  const since = new Map<string, Since>()

  function watch(world: World, version: string, now: number): number {
    // While it is not clear who is gone for good, nothing that is seen says what would be.
    if (factsOf(world).frozen !== null) return rest('unknown', version, now)
    if (pass === undefined && looked?.version !== version) {
      const dueAt = (looked?.at ?? Number.NEGATIVE_INFINITY) + CHECK_MS
      if (dueAt > now) return Math.min(dueAt, tell(world, now))
      const facts = spareFactsOf(world)
      const open = facts.nodes.filter(({ state, drained }) => state === 'alive' && !drained)
      // One worker has no other: that is known from the start, and not worth a mail for ever.
      if (open.length <= 1) return rest(open.length === 1 ? 'single' : 'unknown', version, now)
      const left = open.map(({ name }) => name)
      pass = { facts, lookout: lookoutFrom(facts), left, lacks: [], nextAt: now }
      looked = { version, at: now }
    }
    if (pass !== undefined && pass.nextAt <= now) go(pass, now)
    return Math.min(pass?.nextAt ?? Number.POSITIVE_INFINITY, tell(world, now))
  }

  /** What was seen before counts for nothing: a minute begins anew. */
  function rest(state: Spare['state'], version: string, now: number): number {
    pass = undefined
    looked = { version, at: now }
    since.clear()
    spare = { state, lacks: [] }
    return Number.POSITIVE_INFINITY
  }

  function go(under: Pass, now: number): void {
    const { facts, lookout } = under
    const count = Math.max(1, Math.floor(PAIRS_AT_ONCE / facts.nodes.length))
    under.lacks.push(...under.left.splice(0, count).flatMap(lookout))
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
