// The shape of everything that the API answers. The compiler holds it to the model's types, the
// tests hold the real answers to it, and the OpenAPI document is made from it.

import { z } from 'zod'
import type { Incident } from '#ctld/discovery/document.ts'
import type { NodeView, Pending, WaitingMail } from '#ctld/snapshot.ts'
import type {
  ClusterEvent,
  Deployment,
  DeploymentState,
  IncidentKind,
  Instance,
  InstancePhase,
  InstanceState,
  NodeMetrics,
  NodeState,
  Service,
} from '#shared/model.ts'
import { serviceSchema } from '#shared/service-schema.ts'

/** An enum that has all members of the union and no other. */
const members = <T extends string>(all: { [K in T]: K }) => z.enum(all)

const at = z.number().describe('Milliseconds since 1970')
const count = z.int().min(0)

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
  phase: instancePhase.optional(),
  restarts: count,
  failure: failureAnswer.optional(),
  drainUntil: at.optional(),
  stopTry: count,
  stopRetryAt: at.optional(),
  replaces: z.string().optional(),
})

const until = z.number().describe('Instant at which a pause ends by itself, ms since 1970')

const open = z.strictObject({ state: z.literal('open') })
const paused = z.strictObject({ state: z.literal('paused'), since: at, until })
const maintenance = z.strictObject({ state: z.literal('maintenance'), since: at })
const withPage = maintenance.extend({ page: z.string().optional() })

export const serviceAnswer = z.strictObject({
  name: z.string(),
  config: serviceSchema,
  revision: z.int().min(1),
  programRevision: z.int().min(1),
  revisions: z.array(z.strictObject({ revision: z.int().min(1), config: serviceSchema, at })),
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
})

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
  }),
  state: deploymentState,
  why: z.string(),
  createdAt: at,
  finishedAt: at.optional(),
  failure: failureAnswer.extend({ instance: z.string(), node: z.string() }).optional(),
})

export const acceptedAnswer = z.strictObject({
  deployment_id: z.string(),
  deployment: deploymentAnswer,
})

export const pendingAnswer = z.strictObject({ service: z.string(), count, why: z.string() })

export const serviceStates = [
  'running',
  'starting',
  'partial',
  'down',
  'stopping',
  'stopped',
  'removing',
] as const

export const serviceSummaryAnswer = z.strictObject({
  name: z.string(),
  state: z.enum(serviceStates),
  desired: serviceAnswer.shape.desired,
  traffic: z.discriminatedUnion('state', [open, paused, maintenance]),
  running: count.describe('Instances that are started and healthy'),
  wanted: count,
  nodes: z.record(z.string(), count).describe('Running instances by node'),
  revision: z.int().min(1),
  deployment: z.string(),
  port: z.int(),
  public: z.boolean(),
  hosts: z.array(z.string()),
})

export const serviceDetailAnswer = z.strictObject({
  service: serviceAnswer,
  summary: serviceSummaryAnswer,
  instances: z.array(instanceAnswer),
  deployment: deploymentAnswer.nullable(),
  pending: z.array(pendingAnswer),
})

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
  metrics: metricsAnswer.nullable(),
  agentVersion: z.string().nullable(),
  instanceCount: count,
})

export const frozenAnswer = z.strictObject({ since: at, nodes: z.array(z.string()) }).nullable()

export const activeServiceAnswer = z.strictObject({
  service: serviceAnswer,
  instances: z.array(instanceAnswer),
})

export const eventAnswer = z.strictObject({
  cursor: z.int(),
  at,
  kind: z.string(),
  text: z.string(),
  fields: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
})

export const incidentAnswer = z.strictObject({
  id: z.string(),
  kind: members<IncidentKind>({
    node_dead: 'node_dead',
    mass_failure: 'mass_failure',
    service_failed: 'service_failed',
    no_workers: 'no_workers',
    store: 'store',
    second_controller: 'second_controller',
  }),
  subjects: z.array(z.string()),
  over: z.array(z.string()),
  state: members<Incident['state']>({
    gathering: 'gathering',
    open: 'open',
    recovered: 'recovered',
  }),
  openedAt: at,
  mailAt: at.nullable(),
  recoveredAt: at.nullable(),
  story: z.array(z.string()),
  storyDropped: count,
  mails: count,
})

export const waitingMailAnswer = z.strictObject({
  id: z.string(),
  subject: z.string(),
  tries: count,
  next_at: at,
  last_error: z.string().nullable(),
})

export const configMarkAnswer = z.strictObject({
  version: z.int(),
  at,
  by: z.enum(['start', 'api', 'file']),
})
export const configVersionAnswer = configMarkAnswer.extend({ text: z.string() })
export const configAnswer = configVersionAnswer.extend({ history: z.array(configMarkAnswer) })

/** `true` where every value of the model is one of the schema and no key is missing in it. */
type Same<Model, Schema extends z.ZodType> =
  Model extends z.output<Schema>
    ? keyof Model extends keyof z.output<Schema>
      ? true
      : never
    : never

/** Fails to compile when a shape above no longer says what the model says. */
export const sameAsModel: [
  Same<Instance, typeof instanceAnswer>,
  Same<Service, typeof serviceAnswer>,
  Same<Deployment, typeof deploymentAnswer>,
  Same<NodeMetrics, typeof metricsAnswer>,
  Same<NodeView, typeof nodeAnswer>,
  Same<Pending, typeof pendingAnswer>,
  Same<ClusterEvent, typeof eventAnswer>,
  Same<Incident, typeof incidentAnswer>,
  Same<WaitingMail, typeof waitingMailAnswer>,
] = [true, true, true, true, true, true, true, true, true]
