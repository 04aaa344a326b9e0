// Settles which check decides what (Q11): `checks` replaces single ones of those that `health` with
// a path describes. Pure; the agent is told the outcome and no default.

import type { Check, HttpCheck, StatusRule } from '#shared/check-types.ts'
import type { ServiceConfig } from '#shared/configuration.ts'
import { checkDefaults } from '#shared/defaults.ts'
import { durationMs } from '#shared/duration.ts'
import type { AssignedInstance } from '#shared/wire.ts'
import type { CheckWay, HttpWay, WireCheck, WireChecks } from '#shared/wire-checks.ts'

/** How often a check of liveness that `health` describes may fail, in multiples of its `fall`. */
const PATIENCE = 3
const IN_ROW_MAX = 100

export function healthOf(config: ServiceConfig): Pick<AssignedInstance, 'health' | 'checks'> {
  const { health } = config
  const checks = checksOf(config)
  return {
    health: {
      ...(health.path === undefined ? {} : { path: health.path }),
      interval_ms: durationMs(health.interval),
      timeout_ms: durationMs(health.timeout),
      fall: health.fall,
      rise: health.rise,
      start_timeout_ms: durationMs(health.start_timeout),
    },
    ...(checks === undefined ? {} : { checks }),
  }
}

/** Nothing: it runs on, however long its agent hears nothing. */
export function partitionOf({
  on_partition = 'keep',
}: ServiceConfig): Pick<AssignedInstance, 'partition_stop_ms'> {
  return on_partition === 'keep' ? {} : { partition_stop_ms: durationMs(on_partition.stop_after) }
}

/**
 * undefined: `health` is the one check for everything. A check that is not given is the one of
 * `health`, if that has a path; else readiness is what is given, and liveness is not asked.
 */
export function checksOf(config: ServiceConfig): WireChecks | undefined {
  const { health, checks = {} } = config
  const { startup, readiness, liveness } = checks
  const asHealth: Check | undefined =
    health.path === undefined ? undefined : { http: getOf(health.path) }
  const ready = readiness ?? asHealth ?? startup ?? liveness
  if (ready === undefined || (ready === asHealth && !startup && !liveness)) return undefined
  const { rise, fall } = health
  const livenessRules = { rise: checkDefaults.liveness.rise, fall }
  return {
    ...(startup === undefined ? {} : { startup: startupOf(startup, config) }),
    readiness: { ...checkOf(ready, config), rise: ready.rise ?? rise, fall: ready.fall ?? fall },
    ...(liveness === undefined
      ? asHealth && { liveness: { ...checkOf(asHealth, config), ...patient(config) } }
      : { liveness: { ...checkOf(liveness, config), ...livenessRules, ...inRowOf(liveness) } }),
  }
}

/** As patient as `health` alone is: it restarts after three times the failures that unroute. */
function patient({ health }: ServiceConfig): { rise: number; fall: number } {
  const fall = Math.min(PATIENCE * health.fall, IN_ROW_MAX)
  return { rise: checkDefaults.liveness.rise, fall }
}

function startupOf(check: Check, config: ServiceConfig): NonNullable<WireChecks['startup']> {
  return { ...checkOf(check, config), rise: 1, ...inRowOf(check) }
}

function inRowOf({ rise, fall }: Check): { rise?: number; fall?: number } {
  return { ...(rise === undefined ? {} : { rise }), ...(fall === undefined ? {} : { fall }) }
}

function checkOf(check: Check, { health }: ServiceConfig): Omit<WireCheck, 'rise' | 'fall'> {
  return {
    way: wayOf(check),
    interval_ms: durationMs(check.interval ?? health.interval),
    timeout_ms: durationMs(check.timeout ?? health.timeout),
  }
}

function wayOf({ http, command }: Check): CheckWay {
  if (http !== undefined) return httpWay(http)
  return command === undefined ? { kind: 'tcp' } : { kind: 'command', argv: command }
}

function httpWay({ path, status, headers, answer_headers, answer_body }: HttpCheck): HttpWay {
  const rules = Array.isArray(status) ? status : [status]
  const body = answer_body ?? []
  return {
    kind: 'http',
    path,
    status: rules.map(rangeOf),
    headers,
    answer_headers,
    answer_body: Array.isArray(body) ? body : [body],
  }
}

function rangeOf(rule: StatusRule): [number, number] {
  const [from = 0, to = from] = String(rule).split('-').map(Number)
  return [from, to]
}

function getOf(path: string): HttpCheck {
  return { path, status: checkDefaults.status, headers: {}, answer_headers: {} }
}
