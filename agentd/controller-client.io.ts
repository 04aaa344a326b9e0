// Pushes reports to the controller by fetch (M13), within a total timeout and without following a
// redirect: the token is for the controller alone.

import { messageOf, TucanoError } from '#shared/errors.ts'
import { errorOfProblem } from '#shared/problem.ts'
import { type Ack, ackSchema, WIRE_BODY_BYTES_MAX } from '#shared/wire.ts'
import type { ControllerClient } from './ports.ts'

const TIMEOUT_MS_MIN = 1_000
const TIMEOUT_MS_MAX = 5_000

/** Over when the next report is due: one that is lost must not take others with it (Q04, F15). */
export function reportTimeoutMs(intervalMs: number): number {
  return Math.min(Math.max(intervalMs, TIMEOUT_MS_MIN), TIMEOUT_MS_MAX)
}

export function createControllerClient(options: {
  controller: string
  name: string
  token: string
  timeoutMs?: number
}): ControllerClient {
  const { controller, name, token, timeoutMs = TIMEOUT_MS_MAX } = options
  const url = `${controller}/v1/agents/${name}/report`
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }

  return {
    async report(report) {
      const signal = AbortSignal.timeout(timeoutMs)
      try {
        const body = JSON.stringify(report)
        const request = { method: 'POST', headers, body, redirect: 'error', signal } as const
        return await ackOf(await fetch(url, request))
      } catch (cause) {
        if (cause instanceof TucanoError) throw cause
        if (signal.aborted) {
          throw new TucanoError('timeout', `no answer within ${timeoutMs} ms`, { cause })
        }
        throw new TucanoError('unavailable', `report not delivered: ${messageOf(cause)}`, { cause })
      }
    },
  }
}

async function ackOf(response: Response): Promise<Ack> {
  const body = await readJson(response)
  if (response.status !== 200) throw errorOfProblem(response.status, body)
  const ack = ackSchema.safeParse(body)
  if (!ack.success) throw new TucanoError('unavailable', 'the answer to a report is not valid')
  return ack.data
}

/** undefined: it is not JSON. */
async function readJson(response: Response): Promise<unknown> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength
    if (bytes > WIRE_BODY_BYTES_MAX) throw new TucanoError('too_large', 'the answer is too large')
    chunks.push(chunk)
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch {
    return undefined
  }
}
