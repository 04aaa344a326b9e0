// Every message between the controller and an agent, with the schema that both doors check it
// against. An unknown key is refused: a message is of this version or it is an error.

import { z } from 'zod'
import type { InstancePhase, InstanceUsage, NodeMetrics } from './model.ts'
import { wireChecks } from './wire-checks.ts'

export const NAME_PATTERN = /^[a-z0-9][a-z0-9-]{0,62}$/
export const ID_PATTERN = /^[0-9a-zA-Z-]{1,64}$/
export const DIGEST_PATTERN = /^sha256:[0-9a-f]{64}$/
export const USER_PATTERN = /^[a-z_][a-z0-9_-]{0,31}$/
export const INSTANCES_PER_NODE_MAX = 2_000
export const LOG_TAIL_LINES_MAX = 20
export const LOG_LINE_MAX = 2_000
export const SECRETS_PER_NODE_MAX = 8_000
export const SECRET_BYTES_MAX = 64 * 1024
export const SECRET_FILE_PATTERN = /^[A-Za-z0-9_][A-Za-z0-9._-]*$/
export const WIRE_BODY_BYTES_MAX = 8 * 1024 * 1024

const name = z.string().regex(NAME_PATTERN)
const id = z.string().regex(ID_PATTERN)
const text = (max: number) => z.string().max(max)
const share = z.number().min(0).max(1)
const amount = z.number().min(0).max(Number.MAX_SAFE_INTEGER)
const count = z.int().min(0)
const milliseconds = z.int().min(0).max(86_400_000)

const nodeMetrics = z.strictObject({
  cpu: share,
  cores: z.int().min(1).max(4_096),
  load: amount,
  memory_total: amount,
  memory_used: amount,
  disk_total: amount,
  disk_used: amount,
  net_rx_per_s: amount,
  net_tx_per_s: amount,
}) satisfies z.ZodType<NodeMetrics>

const usage = z.strictObject({
  cpu: amount,
  memory: amount,
  processes: count,
}) satisfies z.ZodType<InstanceUsage>

const phase = z.enum([
  'waiting',
  'fetching',
  'building',
  'starting',
  'started',
  'unhealthy',
  'backoff',
  'stopping',
  'terminated',
  'cut_off',
  'crashed',
  'killed',
  'failed_to_start',
]) satisfies z.ZodType<InstancePhase>

const failure = z.strictObject({
  error: text(2_000),
  exit_code: z.int().optional(),
  exit_signal: text(20).optional(),
  last_probe: text(500).optional(),
  log_tail: z.array(text(LOG_LINE_MAX)).max(LOG_TAIL_LINES_MAX).optional(),
})

/**
 * What one instance is doing on its agent. Phases that end it there: `terminated` (asked to
 * stop, or gone cleanly), `cut_off` (stopped because the controller was silent), `killed` (asked to
 * stop, SIGKILL was needed; or the machine was restarted under it), `crashed` (the agent gave up
 * restarting it) and `failed_to_start` (this attempt never became healthy).
 */
export const instanceStatusSchema = z.strictObject({
  id,
  service: name,
  attempt: z.int().min(1).max(1_000),
  phase,
  port: z.int().min(1).max(65_535).optional(),
  pid: z.int().min(1).optional(),
  restarts: count,
  usage: usage.optional(),
  failure: failure.optional(),
})
export type InstanceStatus = z.infer<typeof instanceStatusSchema>

/** What keeps the programs of a node from each other, and why it is no more than that. */
export const isolationSchema = z.strictObject({
  /** Version of the control groups. none: limits of memory, cpu and pids cannot be kept. */
  mode: z.enum(['v2', 'v1', 'none']),
  why: text(500),
  /** Whom programs run as whose service names nobody. */
  user: text(64),
  user_why: text(500),
})
export type Isolation = z.infer<typeof isolationSchema>

/** M13, M25, M32: metrics and status of one node, pushed by its agent. */
export const reportSchema = z.strictObject({
  node: name,
  agent: z.strictObject({
    version: text(40),
    /** Changes with each boot of the machine. */
    boot: text(80),
    /** Changes with each start of the agent. */
    session: id,
  }),
  /** 1, 2, … within a session; a report that is not newer than the last is ignored (S05). */
  sequence: z.int().min(1),
  /** Agent's publish_interval, from which the controller computes its patience (Q04). */
  interval_ms: z.int().min(50).max(3_600_000),
  /** The newest order that the agent obeys; 0, 0 before its first. */
  epoch: count,
  generation: count,
  /** Absent until the first sample. */
  metrics: nodeMetrics.optional(),
  /** Absent: nothing is kept apart. */
  isolation: isolationSchema.optional(),
  instances: z.array(instanceStatusSchema).max(INSTANCES_PER_NODE_MAX),
})
export type Report = z.infer<typeof reportSchema>

/** What an instance may take of its node; bytes, cores, tasks and files. Absent: the default. */
export const instanceLimitsSchema = z.strictObject({
  memory: z.int().min(1).max(Number.MAX_SAFE_INTEGER).optional(),
  cpu: z.number().min(0.01).max(4_096).optional(),
  pids: z.int().min(1).max(4_194_304).optional(),
  open_files: z.int().min(1).max(1_048_576).optional(),
})
export type InstanceLimits = z.infer<typeof instanceLimitsSchema>

const secretVersion = z.int().min(1)

/** One secret of an instance: as a variable, as a file, or both. */
export const secretUseSchema = z.strictObject({
  name,
  version: secretVersion,
  variable: text(128).optional(),
  file: z.string().regex(SECRET_FILE_PATTERN).optional(),
})
export type SecretUse = z.infer<typeof secretUseSchema>

export const secretGivenSchema = z.strictObject({
  name,
  version: secretVersion,
  value: text(SECRET_BYTES_MAX).meta({ secret: true, expected: 'the value of a secret' }),
})
export type SecretGiven = z.infer<typeof secretGivenSchema>

/** What an agent needs to know to run one instance. */
export const assignedInstanceSchema = z.strictObject({
  id,
  service: name,
  revision: z.int().min(1),
  attempt: z.int().min(1).max(1_000),
  want: z.enum(['run', 'stop']),
  image: z.strictObject({
    digest: z.string().regex(DIGEST_PATTERN),
    build: z.array(z.array(text(4_096)).min(1).max(256)).max(32),
    build_timeout_ms: milliseconds,
    run: z.array(text(4_096)).min(1).max(256),
  }),
  /** The static host port, or absent: the agent picks one of its range. */
  host_port: z.int().min(1).max(65_535).optional(),
  env: z.record(z.string(), text(32_768)),
  /** Their values come with the order, once for all instances that get them. */
  secrets: z.array(secretUseSchema).max(64).optional(),
  volumes: z.array(name).max(64).optional(),
  limits: instanceLimitsSchema.optional(),
  /** Whom it runs as; absent: the agent's choice. */
  user: z.string().regex(USER_PATTERN).optional(),
  health: z.strictObject({
    path: text(2_048).optional(),
    interval_ms: milliseconds,
    timeout_ms: milliseconds,
    fall: z.int().min(1).max(100),
    rise: z.int().min(1).max(100),
    start_timeout_ms: milliseconds,
  }),
  /** Absent: `health` is the one check for everything. */
  checks: wireChecks.optional(),
  /** Silence of the controller after which the agent stops it; absent: it runs on. */
  partition_stop_ms: milliseconds.optional(),
  stop: z.strictObject({
    signal: z.enum(['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGHUP']),
    grace_ms: milliseconds,
  }),
})
export type AssignedInstance = z.infer<typeof assignedInstanceSchema>

/**
 * All that one agent shall run (M11, M26). It is the whole, not a change: what is not in it is
 * stopped (Q07), so a lost, late or doubled order does no harm. Refused (`stale_order`) when its
 * (epoch, generation) is lower than one the agent has obeyed.
 */
export const assignmentSchema = z.strictObject({
  node: name,
  epoch: z.int().min(1),
  generation: z.int().min(1),
  /** Values of the secrets that its instances get, and of no others. Kept by nobody on a disk. */
  secrets: z.array(secretGivenSchema).max(SECRETS_PER_NODE_MAX).optional(),
  instances: z.array(assignedInstanceSchema).max(INSTANCES_PER_NODE_MAX),
})
export type Assignment = z.infer<typeof assignmentSchema>

/** Answer to a report. `assignment` is there when the agent obeys another one. */
export const ackSchema = z.strictObject({
  epoch: count,
  generation: count,
  assignment: assignmentSchema.optional(),
})
export type Ack = z.infer<typeof ackSchema>

/** Answer to an order: what the agent obeys now. */
export const orderAnswerSchema = z.strictObject({
  accepted: z.boolean(),
  epoch: count,
  generation: count,
})
export type OrderAnswer = z.infer<typeof orderAnswerSchema>
