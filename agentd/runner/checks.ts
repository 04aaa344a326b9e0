// Which check decides what of an instance. Without `checks` in its order one check decides about
// everything: unrouted after `fall` failures, restarted after three times as many. Pure.

import type { AssignedInstance } from '#shared/wire.ts'
import type { CheckWay, WireCheck, WireChecks } from '#shared/wire-checks.ts'

/** Failed checks beyond those that made it unhealthy, in multiples of `fall`, until a kill. */
const PATIENCE = 2

/** Its start is over when this has passed `rise` times. */
export function startupOf(spec: AssignedInstance): NonNullable<WireChecks['startup']> {
  if (spec.checks?.startup !== undefined) return spec.checks.startup
  const { way, interval_ms, timeout_ms } = readinessOf(spec)
  return { way, interval_ms, timeout_ms, rise: 1 }
}

/** Whether readiness is asked only after another check has ended the start. */
export function isStartApart(spec: AssignedInstance): boolean {
  return spec.checks?.startup !== undefined
}

/** While it fails there are no requests for it. */
export function readinessOf({ checks, health }: AssignedInstance): WireCheck {
  if (checks !== undefined) return checks.readiness
  const { path, interval_ms, timeout_ms, rise, fall } = health
  return { way: wayOf(path), interval_ms, timeout_ms, rise, fall }
}

/** undefined: none of its own. */
export function livenessOf({ checks }: AssignedInstance): WireCheck | undefined {
  return checks?.liveness
}

/** Failures of readiness in a row after which it is restarted; Infinity: never for that. */
export function readinessFailuresMax({ checks, health }: AssignedInstance): number {
  return checks === undefined ? health.fall * (1 + PATIENCE) : Number.POSITIVE_INFINITY
}

/** How the check that takes its requests away is called. */
export function readinessWords({ checks }: AssignedInstance): string {
  return checks === undefined ? 'health check' : 'readiness check'
}

function wayOf(path: string | undefined): CheckWay {
  if (path === undefined) return { kind: 'tcp' }
  const status: [number, number][] = [[200, 399]]
  return { kind: 'http', path, status, headers: {}, answer_headers: {}, answer_body: [] }
}
