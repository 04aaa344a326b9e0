// What a report says and when the next one is due (M13, M25). Pure.

import { type Process, phaseOf, unhealthyFailure } from '#agentd/runner/process.ts'
import type { FailureDetail, InstanceUsage } from '#shared/model.ts'
import {
  type InstanceStatus,
  LOG_LINE_MAX,
  LOG_TAIL_LINES_MAX,
  WIRE_BODY_BYTES_MAX,
} from '#shared/wire.ts'

/** Changes within this time go into one report. */
export const GATHER_MS = 50
/** A controller that does not answer is not called more often than this, but for changes. */
export const FAILING_MS_MIN = 1_000
/** Failures beyond this are told in brief: a report that is too large is refused as a whole. */
export const FAILURES_BYTES_MAX = WIRE_BODY_BYTES_MAX / 2
const BRIEF_LENGTH_MAX = 200
const JITTER = 0.1
const FIRST_MS_MAX = 500

type Failure = NonNullable<InstanceStatus['failure']>

export type Rhythm = {
  /** When the last regular report began; undefined: none yet. */
  regularAt: number | undefined
  /** When the last report of any kind began. */
  lastAt: number
  isFailing: boolean
  hasChanged: boolean
}

/** Monotonic instant of the next report. `random` is in [0, 1) and drawn once a regular report. */
export function nextReportAt(rhythm: Rhythm, intervalMs: number, random: number): number {
  const regular = nextRegularAt(rhythm, intervalMs, random)
  return rhythm.hasChanged ? Math.min(regular, rhythm.lastAt + GATHER_MS) : regular
}

export function nextRegularAt(rhythm: Rhythm, intervalMs: number, random: number): number {
  // A hundred agents that start at the same time do not report at the same time (F41).
  if (rhythm.regularAt === undefined) {
    return rhythm.lastAt + random * Math.min(intervalMs, FIRST_MS_MAX)
  }
  const interval = intervalMs * (1 - JITTER + 2 * JITTER * random)
  return rhythm.regularAt + (rhythm.isFailing ? Math.max(interval, FAILING_MS_MIN) : interval)
}

/** Sorted by id, and small enough to be sent, however much has failed at the same time. */
export function statusesOf(
  processes: readonly Process[],
  usage: ReadonlyMap<string, InstanceUsage>,
): InstanceStatus[] {
  let bytes = 0
  return processes
    .map((process) => statusOf(process, usage.get(process.page.id)))
    .sort((a, b) => (a.id < b.id ? -1 : 1))
    .map((status) => {
      const { failure } = status
      if (failure === undefined) return status
      const more = Buffer.byteLength(JSON.stringify(failure))
      if (bytes + more > FAILURES_BYTES_MAX) return { ...status, failure: brief(failure) }
      bytes += more
      return status
    })
}

function statusOf(process: Process, usage: InstanceUsage | undefined): InstanceStatus {
  const { page } = process
  const { id, spec, program } = page
  const phase = phaseOf(process)
  const failure = phase === 'unhealthy' ? unhealthyFailure(process) : page.failure
  const runs = program !== undefined
  return {
    id,
    service: spec.service,
    attempt: spec.attempt,
    phase,
    ...(runs ? { pid: program.pid } : {}),
    ...(runs && page.port !== 0 ? { port: page.port } : {}),
    restarts: page.restarts,
    ...(runs && usage !== undefined ? { usage } : {}),
    ...(failure === undefined ? {} : { failure: shortened(failure) }),
  }
}

/** Within the limits of wire.ts: one long line must not get a whole report refused. */
function shortened(failure: FailureDetail): FailureDetail {
  const { error, exit_signal, last_probe, log_tail } = failure
  return {
    ...failure,
    error: error.slice(0, 2_000),
    ...(exit_signal === undefined ? {} : { exit_signal: exit_signal.slice(0, 20) }),
    ...(last_probe === undefined ? {} : { last_probe: last_probe.slice(0, 500) }),
    ...(log_tail === undefined
      ? {}
      : {
          log_tail: log_tail.slice(-LOG_TAIL_LINES_MAX).map((line) => line.slice(0, LOG_LINE_MAX)),
        }),
  }
}

/** Without what was printed: that can be read on the node. */
function brief({ log_tail: _, last_probe: __, ...failure }: Failure): Failure {
  return { ...failure, error: failure.error.slice(0, BRIEF_LENGTH_MAX) }
}
