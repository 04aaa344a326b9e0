// The part that scale, stop, start and rm share: hand in the change, wait until it is carried
// out, say how it went.

import type { AcceptedAnswer } from './answers.ts'
import type { Context } from './command.ts'
import { detached } from './deploy.ts'
import { tellFailure } from './deploy-failure.ts'
import { follow, stillGoesOn, timeoutOf } from './follow.ts'
import { followBack, tellReceipt } from './receipt.ts'

export type ServiceChange = {
  service: string
  method: 'POST' | 'DELETE'
  path: string
  body?: unknown
  /** `stopped`, `removed`: what it is when the change is done. Absent: its revision. */
  done?: string
}

export async function changeService(context: Context, change: ServiceChange): Promise<number> {
  const { screen } = context
  const { service, method, path, body } = change
  const timeoutMs = timeoutOf(context)
  const client = await context.client()
  const accepted = await client.send<AcceptedAnswer>(method, path, body)
  if (context.flags.has('detach')) return detached(context, accepted, service)

  const wanted = { id: accepted.deployment_id, service, timeoutMs }
  const { deployment, detail, isTimedOut } = await follow(context, client, wanted)
  if (isTimedOut) throw stillGoesOn(service, timeoutMs, detail)
  const last = deployment ?? accepted.deployment
  if (screen.json) screen.object(last)
  // What the controller has forgotten was carried out: only a removed service takes it along.
  const isDone = deployment === undefined || deployment.state.startsWith('complete_')
  if (!isDone) {
    tellFailure(screen, last, detail)
    await followBack(context, client, { deployment: last, timeoutMs })
    return 1
  }
  if (screen.json) return 0
  screen.line(`${service}: ${change.done ?? `revision ${last.revision} runs, ${last.why}`}`)
  tellReceipt(screen, last)
  return 0
}

export function servicePath(service: string, action = ''): string {
  return `/v1/services/${encodeURIComponent(service)}${action}`
}
