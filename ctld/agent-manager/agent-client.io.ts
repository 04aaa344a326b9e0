// Calls to agents by fetch. Each has a total timeout of its own, follows no redirect and reads
// no more than it expects; a failure says in words which agent did what.

import { brokenWords } from '#ctld/agent-failure.ts'
import type { AgentClient } from '#ctld/ports.ts'
import type { Machine } from '#shared/configuration.ts'
import { TucanoError } from '#shared/errors.ts'
import { type Assignment, type OrderAnswer, orderAnswerSchema } from '#shared/wire.ts'

export const ORDER_TIMEOUT_MS = 5_000
export const ANSWER_BYTES_MAX = 64 * 1024

export function createAgentClient(options: {
  agentToken: string
  orderTimeoutMs?: number
}): AgentClient {
  const orderTimeoutMs = options.orderTimeoutMs ?? ORDER_TIMEOUT_MS
  return {
    order: (machine, assignment) => order(machine, assignment, options.agentToken, orderTimeoutMs),
    probe,
  }
}

async function order(
  machine: Machine,
  assignment: Assignment,
  agentToken: string,
  timeoutMs: number,
): Promise<OrderAnswer> {
  const { status, text } = await call(machine, '/v1/assignment', timeoutMs, {
    method: 'PUT',
    headers: { authorization: `Bearer ${agentToken}`, 'content-type': 'application/json' },
    body: JSON.stringify(assignment),
  })
  const answer = answerOf(status, text)
  if (answer !== undefined) return answer
  const words = [401, 403].includes(status)
    ? "refused the controller's token"
    : `answered an order with HTTP ${status}`
  throw new TucanoError('agent_failed', `${nameOf(machine)} ${words}`)
}

async function probe(machine: Machine, timeoutMs: number): Promise<void> {
  const { status } = await call(machine, '/healthz', timeoutMs, { method: 'GET' })
  if (status === 200) return
  throw new TucanoError('agent_failed', `${nameOf(machine)} answered a probe with HTTP ${status}`)
}

async function call(
  machine: Machine,
  path: string,
  timeoutMs: number,
  request: RequestInit,
): Promise<{ status: number; text: string }> {
  const host = machine.ip.includes(':') ? `[${machine.ip}]` : machine.ip
  try {
    const response = await fetch(`http://${host}:${machine.agent_port}${path}`, {
      ...request,
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutMs),
    })
    return { status: response.status, text: await readBounded(response) }
  } catch (cause) {
    if (cause instanceof TucanoError) throw cause
    if (cause instanceof Error && cause.name === 'TimeoutError') {
      const words = `${nameOf(machine)} did not answer within ${timeoutMs} ms`
      throw new TucanoError('timeout', words, { cause })
    }
    throw new TucanoError('agent_failed', `${nameOf(machine)} ${brokenWords(cause)}`, { cause })
  }
}

async function readBounded(response: Response): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength
    // Leaving the loop cancels the body and gives up the connection.
    if (bytes > ANSWER_BYTES_MAX)
      throw new TucanoError('agent_failed', 'an agent answered too much')
    text += decoder.decode(chunk, { stream: true })
  }
  return text + decoder.decode()
}

/**
 * 200 carries the answer; 409 says that the agent obeys a newer order, either as the answer itself
 * or as problem details that name it.
 */
function answerOf(status: number, text: string): OrderAnswer | undefined {
  if (status !== 200 && status !== 409) return undefined
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    // Not ours: the caller says so with the status.
    return undefined
  }
  if (status === 200) return orderAnswerSchema.safeParse(body).data
  const newer = orderAnswerSchema.omit({ accepted: true }).strip().safeParse(body)
  return newer.success ? { accepted: false, ...newer.data } : undefined
}

function nameOf(machine: Machine): string {
  return `the agent of ${machine.name} (${machine.ip}:${machine.agent_port})`
}
