// The shape of what the API answers of nodes, and of moving instances between them.

import { z } from 'zod'
import type { HoldUp } from '#ctld/deployer/drain.ts'
import type { RebalancePlan } from '#ctld/deployer/rebalance.ts'
import type { NodeView, Spare } from '#ctld/snapshot.ts'
import type { Move, NodeDrain, NodeMetrics, NodeState, Rebalance } from '#shared/model.ts'
import { isolationSchema } from '#shared/wire.ts'
import { at, count, members, type Same } from './answer-parts.ts'

const metricsAnswer = z.strictObject({
  cpu: z.number(),
  cores: z.int(),
  load: z.number(),
  memory_total: z.number(),
  memory_used: z.number(),
  disk_total: z.number(),
  disk_used: z.number(),
  net_rx_per_s: z.number(),
  net_tx_per_s: z.number(),
})

const drainAnswer = z.strictObject({
  since: at,
  until: at.describe('Deadline, after which it counts as late, ms since 1970'),
  force: z.boolean(),
  isLate: z.boolean(),
  emptyAt: at.exactOptional(),
})

export const nodeAnswer = z.strictObject({
  name: z.string(),
  ip: z.string(),
  agent_port: z.int(),
  labels: z.record(z.string(), z.string()),
  state: members<NodeState>({
    unknown: 'unknown',
    alive: 'alive',
    suspect: 'suspect',
    reviving: 'reviving',
    dead: 'dead',
  }),
  why: z.string(),
  changedAt: at,
  silentMs: z.number().nullable(),
  drained: z.boolean(),
  drain: drainAnswer.nullable().describe('How a drain that was asked for is to end'),
  cordoned: z.boolean(),
  isolation: isolationSchema.nullable(),
  metrics: metricsAnswer.nullable(),
  agentVersion: z.string().nullable(),
  instanceCount: count,
})

const lackAnswer = z.strictObject({
  service: z.string(),
  node: z.string().describe('The worker whose loss it would be'),
  count: count.describe('Instances that would have no place'),
  why: z.string(),
})

export const spareAnswer = z.strictObject({
  state: members<Spare['state']>({
    ok: 'ok',
    lacking: 'lacking',
    single: 'single',
    unknown: 'unknown',
  }),
  lacks: z.array(lackAnswer),
})

export const frozenAnswer = z.strictObject({ since: at, nodes: z.array(z.string()) }).nullable()

export const moveAnswer = z.strictObject({
  instance: z.string(),
  service: z.string(),
  from: z.string(),
  to: z.string(),
  why: z.string(),
})

export const rebalanceAnswer = z.strictObject({
  id: z.string(),
  by: members<Rebalance['by']>({ user: 'user', controller: 'controller' }),
  state: members<Rebalance['state']>({
    running: 'running',
    done: 'done',
    stopped: 'stopped',
    failed: 'failed',
  }),
  why: z.string(),
  moves: z.array(moveAnswer),
  done: count,
  createdAt: at,
  movingSince: at.exactOptional(),
  nextAt: at,
  finishedAt: at.exactOptional(),
})

export const planAnswer = z.strictObject({
  moves: z.array(moveAnswer).describe('In this order, one at a time'),
  staying: z
    .array(z.strictObject({ service: z.string(), why: z.string() }))
    .describe('Services that would be spread better and are not moved'),
  isCut: z.boolean().describe('There may be more to move than one rebalance does'),
})

const holdUpAnswer = z.strictObject({
  instance: z.string(),
  service: z.string(),
  why: z.string(),
  isStuck: z.boolean().describe('Nothing is under way that would end it'),
})

export const drainStateAnswer = z.strictObject({ node: nodeAnswer, holds: z.array(holdUpAnswer) })

/** Fails to compile when a shape above no longer says what the model says. */
export const sameAsModel: [
  Same<NodeMetrics, typeof metricsAnswer>,
  Same<NodeView, typeof nodeAnswer>,
  Same<Spare, typeof spareAnswer>,
  Same<NodeDrain, typeof drainAnswer>,
  Same<Move, typeof moveAnswer>,
  Same<Rebalance, typeof rebalanceAnswer>,
  Same<RebalancePlan, typeof planAnswer>,
  Same<HoldUp, typeof holdUpAnswer>,
] = [true, true, true, true, true, true, true, true]
