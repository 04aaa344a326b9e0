// The shape of what the API answers about services, their instances and their deployments. The
// compiler holds it to the model's types in answers.ts.

import { z } from 'zod'
import type {
  Deployment,
  DeploymentState,
  InstancePhase,
  InstanceState,
  Service,
} from '#shared/model.ts'
import { serviceSchema } from '#shared/service-schema.ts'
import { at, count, members } from './answer-parts.ts'

const failureAnswer = z.strictObject({
  error: z.string(),
  exit_code: z.int().optional(),
  exit_signal: z.string().optional(),
  last_probe: z.string().optional(),
  log_tail: z.array(z.string()).optional(),
})

const instanceState = members<InstanceState>({
  deploying: 'deploying',
  pre_terminating: 'pre_terminating',
  started: 'started',
  terminating: 'terminating',
  lost: 'lost',
  failed_to_start: 'failed_to_start',
  never_started: 'never_started',
  unexpected_terminated: 'unexpected_terminated',
  unexpected_crashed: 'unexpected_crashed',
  terminated: 'terminated',
  crashed: 'crashed',
  failed_to_terminate: 'failed_to_terminate',
})

const instancePhase = members<InstancePhase>({
  waiting: 'waiting',
  fetching: 'fetching',
  building: 'building',
  starting: 'starting',
  started: 'started',
  unhealthy: 'unhealthy',
  backoff: 'backoff',
  stopping: 'stopping',
  terminated: 'terminated',
  cut_off: 'cut_off',
  crashed: 'crashed',
  killed: 'killed',
  failed_to_start: 'failed_to_start',
})

export const instanceAnswer = z.strictObject({
  id: z.string(),
  service: z.string(),
  revision: z.int(),
  deployment: z.string(),
  node: z.string(),
  state: instanceState,
  attempt: z.int(),
  createdAt: at,
  changedAt: at,
  retryAt: at.optional(),
  why: z.string(),
  port: z.int().optional(),
  pid: z.int().optional(),
  healthy: z.boolean(),
  healthyAt: at.optional(),
  admitted: z.boolean(),
  phase: instancePhase.optional(),
  restarts: count,
  failure: failureAnswer.optional(),
  failures: z.array(z.strictObject({ node: z.string(), at })).optional(),
  drainUntil: at.optional(),
  stopTry: count,
  stopRetryAt: at.optional(),
  replaces: z.string().optional(),
  leaving: z.strictObject({ why: z.string(), to: z.string() }).optional(),
})

const until = z.number().describe('Instant at which a pause ends by itself, ms since 1970')

export const open = z.strictObject({ state: z.literal('open') })
export const paused = z.strictObject({ state: z.literal('paused'), since: at, until })
export const maintenance = z.strictObject({ state: z.literal('maintenance'), since: at })
const withPage = maintenance.extend({ page: z.string().optional() })

const serviceRevision = z.strictObject({
  revision: z.int().min(1),
  program: z.int().min(1),
  config: serviceSchema,
  at,
  worked: z.literal(true).optional(),
  secrets: z.record(z.string(), z.int().min(1)).optional().describe('Versions, by name'),
})

export const serviceAnswer = z.strictObject({
  name: z.string(),
  config: serviceSchema,
  revision: z.int().min(1),
  programRevision: z.int().min(1),
  revisions: z.array(serviceRevision),
  goodRevision: z.int().min(1).optional(),
  rollout: z.strictObject({ since: at, step: count, percent: z.int() }).optional(),
  homes: z.array(z.string()).optional(),
  desired: members<Service['desired']>({
    running: 'running',
    stopped: 'stopped',
    removed: 'removed',
  }),
  traffic: z.discriminatedUnion('state', [open, paused, withPage]),
  deployment: z.string(),
  createdAt: at,
  changedAt: at,
})

const deploymentState = members<DeploymentState>({
  deploying: 'deploying',
  partial_ok: 'partial_ok',
  partial_err: 'partial_err',
  complete_running: 'complete_running',
  incomplete_running: 'incomplete_running',
  terminating: 'terminating',
  partial_term_ok: 'partial_term_ok',
  partial_term_err: 'partial_term_err',
  complete_termination: 'complete_termination',
  incomplete_termination: 'incomplete_termination',
  superseded: 'superseded',
  watching: 'watching',
  reverted: 'reverted',
})

const figuresAnswer = z.strictObject({
  requests: count,
  failed: count.describe('With 5xx, or not to the end'),
  p99Ms: z.number().nullable().describe('Until the first byte of the answer; null: no request'),
})

const receiptAnswer = z
  .strictObject({
    before: figuresAnswer.describe('In the minute before it'),
    during: figuresAnswer.describe('Until it had taken the last place, or was given up'),
    after: figuresAnswer.describe('While it was watched'),
    programs: z
      .array(figuresAnswer.extend({ program: z.int().min(1), isNew: z.boolean() }))
      .describe('Since it began, by the revision at which the program appeared'),
  })
  .describe('What the balancer counted around it')

export const deploymentAnswer = z.strictObject({
  id: z.string(),
  service: z.string(),
  revision: z.int(),
  kind: members<Deployment['kind']>({
    deploy: 'deploy',
    scale: 'scale',
    stop: 'stop',
    start: 'start',
    remove: 'remove',
    rollback: 'rollback',
    revert: 'revert',
  }),
  state: deploymentState,
  why: z.string(),
  createdAt: at,
  finishedAt: at.optional(),
  former: z.int().optional(),
  failure: failureAnswer.extend({ instance: z.string(), node: z.string() }).optional(),
  revertedBy: z.string().optional(),
  revertOf: z.string().optional(),
  progress: z.strictObject({ reached: z.int(), at }).optional(),
  watchSince: at.optional(),
  receipt: receiptAnswer.optional(),
})
