// What becomes of an instance whose program is gone: over, started again, or on another port.

import { withShortages } from '#agentd/isolation/isolation.ts'
import type { InstancePage, ProgramEnd, Shortage } from '#agentd/ports.ts'
import type { FailureDetail } from '#shared/model.ts'
import type { Process, Step } from './process.ts'
import { backoffMs, failuresInRow } from './restart.ts'

/** How often another port is tried when somebody else took the chosen one (F29). */
export const PORT_TRIES_MAX = 5

/** Why a program's remains are cleared away. */
export type Cause =
  | { kind: 'stop'; isForced: boolean; isCutOff: boolean }
  | {
      kind: 'failure'
      /** It ended by itself, and was not killed by the agent. */
      hasExited: boolean
      /** How long it had been healthy. */
      healthyMs: number
      failure: FailureDetail
    }

/** What is known once nothing of the program is left. */
export type Cleared = {
  isPortFree: boolean
  logTail: string[]
  shortages: readonly Shortage[]
  random: number
}

/** The step after clearing. */
export function cleared(was: Process, cause: Cause, facts: Cleared, now: number): Process {
  const is = { ...was, page: { ...was.page, program: undefined } }
  if (cause.kind === 'stop') return ended(is, endOf(cause))
  const failure = withShortages(explained(was, cause.failure, facts.logTail), facts.shortages)
  if (mayTryAnotherPort(was, cause, facts)) return onAnotherPort(is)
  if (!was.page.wasHealthy) return ended(is, 'failed_to_start', failure)
  const failures = failuresInRow(was.page.failures, cause.healthyMs)
  const page: InstancePage = { ...is.page, failures, failure }
  const waitMs = backoffMs(failures, facts.random)
  if (waitMs === undefined) return ended({ ...is, page }, 'crashed', failure)
  return { ...is, page, avoid: [], step: { at: 'backoff', until: now + waitMs } }
}

function endOf(cause: Cause & { kind: 'stop' }): NonNullable<InstancePage['ended']> {
  if (cause.isCutOff) return 'cut_off'
  return cause.isForced ? 'killed' : 'terminated'
}

export function ended(
  was: Process,
  how: NonNullable<InstancePage['ended']>,
  failure: FailureDetail | undefined = was.page.failure,
): Process {
  return { ...was, page: { ...was.page, ended: how, failure }, step: over() }
}

export function over(): Step {
  return { at: 'ended', forgetAt: 0 }
}

export function exitFailure(end: ProgramEnd, when: string): FailureDetail {
  const failure = {
    error: `${endWords(end)} ${when}`.trim(),
    ...(end.code === undefined ? {} : { exit_code: end.code }),
    ...(end.signal === undefined ? {} : { exit_signal: end.signal }),
  }
  return withShortages(failure, end.shortages ?? [])
}

function endWords({ code, signal }: ProgramEnd): string {
  if (signal !== undefined) return `killed by ${signal}`
  return code === undefined ? 'ended, it is not known how' : `exited with code ${code}`
}

/** With what helps to mend it: the last answer of its check and its last lines. */
function explained(was: Process, failure: FailureDetail, logTail: string[]): FailureDetail {
  return {
    ...failure,
    ...(was.lastProbe === undefined || failure.last_probe !== undefined
      ? {}
      : { last_probe: was.lastProbe }),
    ...(failure.log_tail === undefined && logTail.length > 0 ? { log_tail: logTail } : {}),
  }
}

function mayTryAnotherPort(was: Process, cause: Cause, facts: Cleared): boolean {
  if (cause.kind !== 'failure' || !cause.hasExited || facts.isPortFree) return false
  return was.page.spec.host_port === undefined && was.avoid.length < PORT_TRIES_MAX
}

/** Not counted as a failure; counted as a restart when traffic may still go to the old port. */
function onAnotherPort(is: Process): Process {
  const { page } = is
  const restarts = page.restarts + (page.wasHealthy ? 1 : 0)
  return {
    ...is,
    page: { ...page, port: 0, restarts, failure: undefined },
    avoid: [...is.avoid, page.port],
    step: { at: 'waiting' },
  }
}
