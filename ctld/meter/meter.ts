// Measures what programs do to their users: asks the data plane what it counted, every second while
// a deployment is on trial and now and then otherwise. When it does not answer, nothing waits.

import type { DataPlaneCounters } from '#ctld/balancer/data-plane/counters.ts'
import type { GuardFigures } from '#ctld/deployer/guard.ts'
import type { World } from '#ctld/discovery/world.ts'
import type { DataPlane } from '#ctld/ports.ts'
import { programOf } from '#ctld/revision.ts'
import type { DeployReceipt } from '#shared/model.ts'
import type { Log } from '#shared/ports.ts'
import {
  type Around,
  BEFORE_MS,
  newAround,
  noteBefore,
  noteSample,
  receiptOf,
  recentOf,
  type Trial,
} from './around.ts'
import { createSamples, type Look, type Sample } from './samples.ts'
import { newTally } from './tally.ts'

export type { Trial } from './around.ts'
export { p99Of, shareOf } from './tally.ts'

const EVERY_MS = 10_000
const TRIAL_EVERY_MS = 1_000

export type Meter = {
  /** Asks when it is time; answers when it is the next time. */
  ask(hasTrials: boolean, now: number): number
  /** undefined: there was no answer. */
  note(
    world: World,
    trials: readonly Trial[],
    counters: DataPlaneCounters | undefined,
    now: number,
  ): void
  figures(trial: Trial): GuardFigures | undefined
  /** Of deployments that were counted first, have come to their watch or to their end just now. */
  receipts(world: World): { id: string; receipt: DeployReceipt }[]
}

export function createMeter(ports: {
  dataPlane: Pick<DataPlane, 'counters'>
  log: Log
  onCounted: (counters: DataPlaneCounters | undefined) => void
}): Meter {
  const { dataPlane, log, onCounted } = ports
  const samples = createSamples()
  /** Of the last minute, by service. */
  const history = new Map<string, Sample[]>()
  const arounds = new Map<string, Around>()
  let askedAt = Number.NEGATIVE_INFINITY
  let isAsking = false
  let wasSilent = false

  function ask(hasTrials: boolean, now: number): number {
    const dueAt = askedAt + (hasTrials ? TRIAL_EVERY_MS : EVERY_MS)
    if (isAsking) return Number.POSITIVE_INFINITY
    if (now < dueAt) return dueAt
    askedAt = now
    isAsking = true
    dataPlane.counters().then(onCounted, (error: unknown) => {
      if (!wasSilent) log.warn({ error }, 'the data plane does not say what it counts')
      wasSilent = true
      onCounted(undefined)
    })
    return Number.POSITIVE_INFINITY
  }

  function remember(taken: ReadonlyMap<string, Sample>, now: number): void {
    for (const [name, sample] of taken) history.set(name, [...(history.get(name) ?? []), sample])
    for (const [name, all] of history) {
      const kept = all.filter(({ to }) => to > now - BEFORE_MS)
      if (kept.length === 0) history.delete(name)
      else history.set(name, kept)
    }
  }

  function noteTrial(trial: Trial, sample: Sample | undefined): void {
    const { deployment, service } = trial
    const known = arounds.get(deployment.id)
    const isBefore = sample !== undefined && sample.from < deployment.createdAt
    const around = known ?? newAround(trial, history.get(service.name) ?? [])
    arounds.set(deployment.id, around)
    if (sample === undefined) return
    // What was counted over its beginning is nearly all of the time before.
    if (isBefore && known === undefined) noteBefore(around, trial, sample)
    else noteSample(around, trial, sample)
  }

  return {
    ask,
    note(world, trials, counters, now) {
      isAsking = false
      if (counters === undefined) return
      wasSilent = false
      const taken = samples.take(counters, lookOf(world, trials), now)
      for (const trial of trials) noteTrial(trial, taken.get(trial.service.name))
      remember(taken, now)
    },
    figures({ deployment, service }) {
      const around = arounds.get(deployment.id)
      if (around === undefined) return undefined
      const { programRevision } = service
      return {
        current: around.programs.get(programRevision) ?? newTally(),
        recent: recentOf(around, programRevision),
        former: around.former,
      }
    },
    receipts(world) {
      return [...arounds].flatMap(([id, around]) => {
        const deployment = world.tables.deployments.get(id)
        const stage = deployment?.finishedAt === undefined ? deployment?.state : 'over'
        if (stage === undefined || stage === 'over') arounds.delete(id)
        const isNews = stage === 'over' || around.told === undefined
        const isWatched = stage === 'watching' && around.told !== 'watching'
        if (stage === undefined || !(isNews || isWatched)) return []
        around.told = stage
        return [{ id, receipt: receiptOf(around) }]
      })
    },
  }
}

function lookOf(world: World, trials: readonly Trial[]): Look {
  const { services, instances } = world.tables
  const since = new Map(
    trials.map(({ service, deployment }) => [service.name, deployment.createdAt]),
  )
  return {
    programOf(name, id) {
      const [service, instance] = [services.get(name), instances.get(id)]
      if (service === undefined || instance === undefined) return undefined
      return programOf(service, instance.revision)
    },
    isNew(name, id) {
      const createdAt = instances.get(id)?.createdAt
      const began = since.get(name)
      return createdAt !== undefined && began !== undefined && createdAt >= began
    },
  }
}
