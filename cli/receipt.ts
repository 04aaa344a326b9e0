// What a deployment cost its users, in a line; and the way back of one that failed, to its end.

import type { Deployment, DeployReceipt, Figures } from '#shared/model.ts'
import type { Client } from './client.ts'
import { type FollowPorts, follow } from './follow.ts'
import type { Screen } from './screen.ts'
import { plain } from './table.ts'

/** `12,431 requests, 0 failed, p99 41 -> 43 ms`; undefined: nobody came, or nothing was counted. */
export function receiptText({ receipt, revision }: Deployment): string | undefined {
  if (receipt === undefined) return undefined
  const { before, during, after } = receipt
  const requests = during.requests + after.requests
  if (requests === 0) return undefined
  const failed = during.failed + after.failed
  const parts = [`${grouped(requests)} requests`, `${grouped(failed)} failed`]
  const times = timesText(before, after.p99Ms === null ? during : after)
  if (times !== undefined) parts.push(times)
  return `${parts.join(', ')}${blamed(receipt, revision, failed)}`
}

/** Under the line that says that it is done. */
export function tellReceipt(screen: Screen, deployment: Deployment): void {
  const text = receiptText(deployment)
  if (text !== undefined) screen.note(`  ${text}`)
}

/** After a deployment that was taken back: until what was before it runs again. */
export async function followBack(
  ports: FollowPorts,
  client: Client,
  { deployment, timeoutMs }: { deployment: Deployment; timeoutMs: number },
): Promise<void> {
  const { screen } = ports
  const { service, revertedBy: id } = deployment
  tellReceipt(screen, deployment)
  if (id === undefined) return
  const back = (await follow(ports, client, { id, service, timeoutMs })).deployment
  if (back?.state === 'complete_running') {
    screen.note(`${service} is back at revision ${back.revision}: ${plain(back.why)}`)
  } else {
    const why = back === undefined ? 'the controller has forgotten it' : back.why
    screen.note(screen.paintNote('bad', `the way back has not ended well: ${plain(why)}`))
  }
}

function timesText(before: Figures, after: Figures): string | undefined {
  if (after.p99Ms === null) return undefined
  return before.p99Ms === null
    ? `p99 ${msText(after.p99Ms)} ms`
    : `p99 ${msText(before.p99Ms)} -> ${msText(after.p99Ms)} ms`
}

/** Who failed them: the rest of them was of the program before. */
function blamed({ programs }: DeployReceipt, revision: number, failed: number): string {
  const own = programs.find(({ isNew }) => isNew)
  if (failed === 0 || own === undefined) return ''
  const all = `${grouped(own.failed)} of ${grouped(own.requests)} by revision ${revision}`
  return ` (${all})`
}

function msText(ms: number): string {
  return ms < 10 ? String(ms) : String(Math.round(ms))
}

function grouped(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ',')
}
