// Decides how a new program gets a growing share of the requests: in steps, each with a pause in
// which all of it has to be well; the rest then follows one by one. The share itself is exact: the
// route table weighs the two groups against each other. Pure.

import { hasPlace, isServing } from '#ctld/instance.ts'
import { programOf } from '#ctld/revision.ts'
import { durationMs } from '#shared/duration.ts'
import type { Rollout, Service } from '#shared/model.ts'
import type { Gap } from './gap.ts'
import type { Context } from './pools.ts'
import type { Action } from './reconcile.ts'
import { rolling } from './rolling.ts'

const WHOLE = 100

export function canary(context: Context): Gap {
  const { concurrency } = context.service.config
  if (!isStepwise(context)) return rolling(context, { goal: concurrency, adopts: true })
  const rollout = context.service.rollout ?? stepAt(context, 0)
  const begins = context.service.rollout === undefined ? [tell(context, rollout)] : []
  const goal = goalOf(rollout, concurrency)
  const gap = rolling(context, { goal, adopts: true })
  const dueAt = gap.actions.length > 0 ? Infinity : nextStepAt(context, rollout, goal)
  const isDue = dueAt <= context.now
  const next = isDue ? [tell(context, stepAt(context, rollout.step + 1))] : []
  return {
    ...gap,
    actions: [...gap.actions, ...begins, ...next],
    wakeAt: isDue ? gap.wakeAt : Math.min(gap.wakeAt, dueAt),
  }
}

/** A canary that is over, was given up or changed its strategy has no share any more. */
export function endOfRollout(context: Context): Action[] {
  if (context.service.rollout === undefined || isStepwise(context)) return []
  return [tell(context, undefined)]
}

/** A way back is no canary: what it goes back to has proven itself. */
function isStepwise({ service, deployment, pools }: Context): boolean {
  const { concurrency, update } = service.config
  const isBack =
    deployment?.kind === 'revert' || deployment?.kind === 'rollback' || isProven(service)
  return update.strategy === 'canary' && concurrency > 1 && !isBack && pools.outdated.some(hasPlace)
}

/** Also when it was scaled on its way back, or the former configuration was deployed again. */
function isProven(service: Service): boolean {
  const { goodRevision, programRevision } = service
  return goodRevision !== undefined && programOf(service, goodRevision) === programRevision
}

function stepAt({ service, now }: Context, step: number): Rollout {
  return { since: now, step, percent: service.config.update.steps[step] ?? WHOLE }
}

/** How many of the places it may take: at least one, and never all before the last step. */
export function goalOf({ percent }: Rollout, concurrency: number): number {
  if (percent >= WHOLE) return concurrency
  return Math.min(Math.max(1, Math.floor((concurrency * percent) / WHOLE)), concurrency - 1)
}

/** The pause counts from the last change: who was ill, or came late, has its whole time. */
function nextStepAt({ service, pools }: Context, rollout: Rollout, goal: number): number {
  if (rollout.percent >= WHOLE) return Infinity
  const placed = pools.current.filter(hasPlace)
  if (placed.length < goal || !placed.every(isServing)) return Infinity
  const quietSince = Math.max(rollout.since, ...placed.map(({ changedAt }) => changedAt))
  return quietSince + durationMs(service.config.update.pause)
}

function tell({ service }: Context, rollout: Rollout | undefined): Action {
  const why =
    rollout === undefined
      ? 'the canary is over'
      : `the new revision gets ${rollout.percent} % of the requests`
  return { kind: 'rollout', service: service.name, why, rollout }
}
