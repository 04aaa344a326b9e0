// Holds court: judges the deployments that are on trial and undoes those that failed.

import { isSettled } from './deployer/deployment.ts'
import { judge } from './deployer/judge.ts'
import { isOnTrial } from './deployer/trial.ts'
import { foldReceipt, foldRevert } from './discovery/fold-verdict.ts'
import type { World } from './discovery/world.ts'
import type { Meter, Trial } from './meter/meter.ts'

/** In the order of the services' arrival. */
export function trialsOf(world: World): Trial[] {
  const { services, deployments } = world.tables
  return services.values().flatMap((service) => {
    const deployment = deployments.get(service.deployment)
    if (deployment === undefined || isSettled(deployment)) return []
    return isOnTrial(deployment, service) ? [{ deployment, service }] : []
  })
}

/** Answers when a deadline comes, if nothing else does before. */
export function holdTrials(
  world: World,
  { newId, meter }: { newId: () => string; meter: Pick<Meter, 'figures'> },
  now: number,
): number {
  const trials = trialsOf(world)
  if (trials.length === 0) return Number.POSITIVE_INFINITY
  const byService = Map.groupBy(world.tables.instances.values(), ({ service }) => service)
  let wakeAt = Number.POSITIVE_INFINITY
  for (const trial of trials) {
    const mine = byService.get(trial.service.name) ?? []
    const figures = meter.figures(trial)
    const verdict = judge({ ...trial, mine, figures, upSince: world.startedAt }, now)
    if (verdict.kind === 'go_on') wakeAt = Math.min(wakeAt, verdict.wakeAt)
    else {
      const { why, failure } = verdict
      foldRevert(world, { id: newId(), failed: trial.deployment, why, failure }, now)
    }
  }
  return wakeAt
}

/** Puts what was counted into the records of the deployments. */
export function fileReceipts(world: World, meter: Pick<Meter, 'receipts'>): void {
  for (const { id, receipt } of meter.receipts(world)) foldReceipt(world, id, receipt)
}
