// What the routes of the API are given, and the small parts that several of them share.

import { z } from 'zod'
import type { CommandResult } from '#ctld/commands.ts'
import type { ImageStore } from '#ctld/images/image-store.ts'
import type { DataPlane } from '#ctld/ports.ts'
import type { Ctld, NodeView, Snapshot } from '#ctld/snapshot.ts'
import type { Machine } from '#shared/configuration.ts'
import { durationMs } from '#shared/duration.ts'
import { TucanoError } from '#shared/errors.ts'
import { duration, name } from '#shared/fields.ts'
import type { Answer, AnswerSpec } from '#shared/http-route.ts'
import type { Deployment } from '#shared/model.ts'
import type { Clock, Log } from '#shared/ports.ts'
import { acceptedAnswer } from './answers.ts'
import type { Changes } from './changes.ts'

export type ApiContext = {
  ctld: Ctld
  images: ImageStore
  changes: Changes
  clock: Clock
  log: Log
  version: string
  /** What the data plane counted; rejects with `unavailable` when it cannot be asked. */
  counters: DataPlane['counters']
  inForce: DataPlane['inForce']
  isStarted: () => boolean
}

export const ADMIN = ['admin'] as const
export const AGENT = ['agent'] as const
export const ADMIN_OR_AGENT = ['admin', 'agent'] as const

export const nameParams = z.strictObject({ name: name() })
export const idParams = z.strictObject({
  id: z
    .string()
    .regex(/^[0-9a-zA-Z-]{1,64}$/)
    .meta({ expected: 'an id: letters, digits and -, at most 64' }),
})

/** Longer waits are answered after the longest one allowed: a client asks again anyway. */
export const wait = duration('0s', '1h')
  .transform(durationMs)
  .optional()
  .describe('How long to wait for news; 60 s at most')

/** A number in a query, `min..max`. */
export function digits(min: number, max: number) {
  return z
    .string()
    .regex(/^\d{1,16}$/)
    .refine((text) => Number(text) >= min && Number(text) <= max)
    .meta({ expected: `a whole number, ${min}..${max}` })
    .transform(Number)
}

export const flag = z
  .enum(['true', 'false'])
  .transform((text) => text === 'true')
  .optional()

/** A balancer that is away keeps nobody waiting for longer. */
export const ROUTED_MS_MAX = 1_000

/**
 * What may tell of the end of a deployment is said when requests are routed as it says: whoever
 * hears of it may send one at once.
 */
export async function onceRouted<T>({ inForce }: ApiContext, said: T): Promise<T> {
  await inForce(ROUTED_MS_MAX)
  return said
}

export const ok = (body: unknown): Answer => ({ status: 200, body })

export function answer(description: string, schema?: z.ZodType): AnswerSpec {
  return schema === undefined ? { description } : { description, schema }
}

/** Q12: a change of a service is answered at once, with the deployment that carries it out. */
export const acceptedSpec: AnswerSpec = {
  description: 'Accepted and on disk; follow the deployment',
  schema: acceptedAnswer,
  headers: ['location'],
}

export function accepted(result: CommandResult, hints: string[] = []): Answer {
  const deployment = deploymentOf(result)
  return {
    status: 202,
    headers: { location: `/v1/deployments/${deployment.id}` },
    body: { deployment_id: deployment.id, deployment, hints },
  }
}

/** The element that fits, or `not_found` with these words. Names match whole, never by prefix. */
export function found<T>(list: readonly T[], fits: (item: T) => boolean, what: string): T {
  const item = list.find(fits)
  if (item === undefined) throw new TucanoError('not_found', `there is no ${what}`)
  return item
}

export function nodeOf(snapshot: Snapshot, node: string): NodeView {
  return found(snapshot.nodes, (one) => one.name === node, `node ${node}`)
}

/** `http://10.0.0.11:7071`, `http://[fd00::11]:7071`. */
export function agentOrigin({ ip, agent_port }: Pick<Machine, 'ip' | 'agent_port'>): string {
  return `http://${ip.includes(':') ? `[${ip}]` : ip}:${agent_port}`
}

function deploymentOf({ deployment }: CommandResult): Deployment {
  if (deployment === undefined) throw new Error('a change of a service has no deployment')
  return deployment
}
