// Waits until a deployment is settled and tells meanwhile what its instances do. The deployment
// goes on in the controller whatever becomes of this program; every early end says so.

import { setTimeout as sleep } from 'node:timers/promises'
import { DURATION_PATTERN, durationMs, durationText } from '#shared/duration.ts'
import { TucanoError } from '#shared/errors.ts'
import type { Deployment, DeploymentState } from '#shared/model.ts'
import type { ServiceDetail } from './answers.ts'
import { type Client, orUndefined } from './client.ts'
import { type Context, Interrupted } from './command.ts'
import { createProgress, waitsForPlace } from './progress.ts'

/** Phases of instances do not end the controller's wait: they are looked at this often. */
const LOOK_MS = 1_000
const UNREACHABLE_PAUSE_MS = 1_000
export const DEFAULT_TIMEOUT = '10m'

const settled: ReadonlySet<DeploymentState> = new Set<DeploymentState>([
  'complete_running',
  'incomplete_running',
  'complete_termination',
  'incomplete_termination',
  'superseded',
  'reverted',
])

export type Outcome = {
  /** undefined: the controller has forgotten it, which happens when its service is removed. */
  deployment: Deployment | undefined
  /** undefined: the service is no more. */
  detail: ServiceDetail | undefined
  isTimedOut: boolean
}

export const waitOptions = [
  { name: 'detach', short: 'd', summary: 'return as soon as the controller has accepted it' },
  {
    name: 'timeout',
    value: 'TIME',
    summary: `how long to wait for the end (default ${DEFAULT_TIMEOUT})`,
  },
] as const

export function timeoutOf(context: Context): number {
  const text = context.flags.text('timeout') ?? DEFAULT_TIMEOUT
  if (!DURATION_PATTERN.test(text)) {
    throw new TucanoError('usage', `--timeout is a duration like 90s or 10m, not ${text}`)
  }
  return durationMs(text)
}

export type FollowPorts = Pick<Context, 'screen' | 'signal'>

export async function follow(
  { screen, signal }: FollowPorts,
  client: Client,
  wanted: { id: string; service: string; timeoutMs: number },
): Promise<Outcome> {
  const { id, service } = wanted
  const tell = createProgress(screen)
  const ends = performance.now() + wanted.timeoutMs
  let wait = 0
  for (;;) {
    const seen = await patiently({ screen, signal, ends }, async () => ({
      deployment: await orUndefined(client.get<Deployment>(`/v1/deployments/${id}?wait=${wait}ms`)),
      detail: await orUndefined(client.get<ServiceDetail>(`/v1/services/${service}`)),
    })).catch((error: unknown) => {
      if (error instanceof Interrupted) {
        screen.status('')
        throw new Interrupted(`the deployment goes on; see: tucano show ${service}`)
      }
      throw error
    })
    if (seen === undefined) return { deployment: undefined, detail: undefined, isTimedOut: true }
    const { deployment, detail } = seen
    if (detail !== undefined) tell(detail)
    if (deployment === undefined || settled.has(deployment.state)) {
      screen.status('')
      return { deployment, detail, isTimedOut: false }
    }
    screen.status(`${service}: ${deployment.why}${waitsFor(detail)}`)
    const left = ends - performance.now()
    if (left <= 0) {
      screen.status('')
      return { deployment, detail, isTimedOut: true }
    }
    wait = Math.ceil(Math.min(LOOK_MS, left))
  }
}

/** The time is up: what it waits for, and that it goes on. */
export function stillGoesOn(
  service: string,
  timeoutMs: number,
  detail: ServiceDetail | undefined,
): TucanoError {
  return new TucanoError(
    'timeout',
    `not settled after ${durationText(timeoutMs)}${waitsFor(detail)}; the deployment goes on; ` +
      `see: tucano show ${service}`,
  )
}

function waitsFor(detail: ServiceDetail | undefined): string {
  return (detail?.pending ?? []).map((one) => `; ${waitsForPlace(one)}`).join('')
}

/** A controller that restarts meanwhile is waited for; undefined: until the time was up. */
async function patiently<T>(
  { screen, signal, ends }: FollowPorts & { ends: number },
  ask: () => Promise<T>,
): Promise<T | undefined> {
  let isTold = false
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      if (!isPassing(error)) throw error
      if (performance.now() >= ends) return undefined
      if (!isTold) screen.note('  the controller cannot be reached; trying again')
      isTold = true
      await pause(UNREACHABLE_PAUSE_MS, signal)
    }
  }
}

export function isPassing(error: unknown): boolean {
  return error instanceof TucanoError && ['unavailable', 'starting', 'timeout'].includes(error.code)
}

/** Rejects with Interrupted when the user ends the command. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal })
  } catch {
    throw new Interrupted()
  }
}
