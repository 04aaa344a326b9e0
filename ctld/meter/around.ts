// What was counted around one deployment: before it, while it went on, and while it was watched.

import { programOf } from '#ctld/revision.ts'
import type { Deployment, DeployReceipt, Figures, Service } from '#shared/model.ts'
import type { Sample } from './samples.ts'
import { add, figuresOf, newTally, type Tally } from './tally.ts'

/** What counts as before, and as lately. */
export const BEFORE_MS = 60_000
export const RECENT_MS = 30_000

/** A deployment that is judged, with its service. */
export type Trial = { deployment: Deployment; service: Service }

export type Around = {
  /** The one that it brings. */
  program: number
  before: Tally
  during: Tally
  after: Tally
  /** From a minute before it on. */
  former: Tally
  /** Since it began. */
  programs: Map<number, Tally>
  recent: Sample[]
  /** What a former life of the controller had counted. */
  stored: DeployReceipt | undefined
  /** At which stage its receipt went into the record last. */
  told: string | undefined
}

/** `history`: what was sampled of the service until it began. */
export function newAround(trial: Trial, history: readonly Sample[]): Around {
  const { deployment, service } = trial
  const around: Around = {
    program: service.programRevision,
    before: newTally(),
    during: newTally(),
    after: newTally(),
    former: newTally(),
    programs: new Map(),
    recent: [],
    stored: deployment.receipt,
    told: undefined,
  }
  for (const sample of history) {
    if (sample.from < deployment.createdAt) noteBefore(around, trial, sample)
  }
  return around
}

export function noteBefore(around: Around, { service }: Trial, sample: Sample): void {
  add(around.before, sample.all)
  const former = sample.programs.get(formerProgram(service))
  if (former !== undefined) add(around.former, former)
}

export function noteSample(
  around: Around,
  { deployment: { state, watchSince }, service }: Trial,
  sample: Sample,
): void {
  const isAfter = state === 'watching' && watchSince !== undefined && sample.from >= watchSince
  add(isAfter ? around.after : around.during, sample.all)
  for (const [program, tally] of sample.programs) {
    const sum = around.programs.get(program) ?? newTally()
    add(sum, tally)
    around.programs.set(program, sum)
    if (program === formerProgram(service)) add(around.former, tally)
  }
  const recent = around.recent.filter(({ from }) => from >= sample.to - RECENT_MS)
  around.recent = [...recent, sample]
}

/** What the declared program did lately. */
export function recentOf({ recent }: Around, program: number): Tally {
  const sum = newTally()
  for (const { programs } of recent) {
    const tally = programs.get(program)
    if (tally !== undefined) add(sum, tally)
  }
  return sum
}

export function receiptOf(around: Around): DeployReceipt {
  const { before, during, after, programs, stored } = around
  return {
    before: stored?.before ?? figuresOf(before),
    during: joined(stored?.during, figuresOf(during)),
    after: joined(stored?.after, figuresOf(after)),
    programs: [...programs.entries()]
      .sort(([left], [right]) => left - right)
      .map(([program, tally]) => {
        return { program, isNew: program === around.program, ...figuresOf(tally) }
      }),
  }
}

function joined(was: Figures | undefined, is: Figures): Figures {
  if (was === undefined) return is
  return {
    requests: was.requests + is.requests,
    failed: was.failed + is.failed,
    // Two quantiles do not add up: the one of the time that can be seen stands for both.
    p99Ms: is.p99Ms ?? was.p99Ms,
  }
}

function formerProgram(service: Service): number {
  return programOf(service, service.goodRevision ?? 0)
}
