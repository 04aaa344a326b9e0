// What an agent is given instead of reaching for the world: its controller, its disk, its
// programs, its images, its sensors. Each has one real edge and one fake.

import type { FailureDetail, InstanceUsage, NodeMetrics } from '#shared/model.ts'
import type { Clock, Dice, Ids, Log } from '#shared/ports.ts'
import type {
  Ack,
  AssignedInstance,
  Assignment,
  InstanceLimits,
  Isolation,
  Report,
  SecretGiven,
} from '#shared/wire.ts'
import type { CheckWay } from '#shared/wire-checks.ts'

export type AgentdPorts = {
  clock: Clock
  ids: Ids
  dice: Dice
  log: Log
  controller: ControllerClient
  notebook: Notebook
  programs: Programs
  images: Images
  sensors: Sensors
  vault: Vault
}

/** Calls to the controller; each has a total timeout and rejects with TucanoError. */
export type ControllerClient = { report(report: Report): Promise<Ack> }

/** What the agent must know again after kill -9: the last order obeyed, a page an instance. */
export type Notebook = {
  load(): Promise<{ assignment: Assignment | undefined; pages: InstancePage[]; notices: string[] }>
  /** Durable when it resolves. */
  saveAssignment(assignment: Assignment): Promise<void>
  savePage(page: InstancePage): Promise<void>
  removePage(id: string): Promise<void>
}

/** What outlives the agent but not the machine's power: the values of secrets. */
export type Vault = {
  /** Nothing where it was lost: the controller sends it again. */
  load(): Promise<SecretGiven[]>
  /** In place of what was there. */
  save(values: readonly SecretGiven[]): Promise<void>
}

/** The durable part of one instance on this agent. */
export type InstancePage = {
  id: string
  spec: AssignedInstance
  port: number
  /** Absent: no program of it was started, or its end was seen. */
  program: ProgramMark | undefined
  restarts: number
  /** Failures in a row since it was last healthy for RESET_AFTER_MS. */
  failures: number
  /** true once this attempt was healthy: from then on the agent restarts it by itself. */
  wasHealthy: boolean
  ended: 'terminated' | 'cut_off' | 'killed' | 'crashed' | 'failed_to_start' | undefined
  failure: FailureDetail | undefined
}

/** Names one running program for good: a pid alone may be somebody else's tomorrow (F24). */
export type ProgramMark = { pid: number; startTime: string; boot: string }

export type ProgramEnd = {
  code: number | undefined
  signal: string | undefined
  /** What it had run out of by then. */
  shortages?: Shortage[]
}

/**
 * The process table. A program is the leader of its own group, writes to files, and outlives the
 * agent; its end is learnt whether this agent or a former one started it.
 */
export type Programs = {
  /** Identity of this boot of the machine. */
  boot(): string
  start(start: {
    id: string
    argv: readonly string[]
    folder: string
    env: Readonly<Record<string, string>>
    /** Secrets that it gets as files; TUCANO_SECRETS is their folder. */
    files?: readonly { name: string; text: string }[]
    /** Folders of its service that outlive it; TUCANO_VOLUME_<NAME> is the path of one. */
    volumes?: { service: string; names: readonly string[] }
    limits?: InstanceLimits | undefined
    /** Whom it runs as; absent: as the agent's configuration says. */
    user?: string | undefined
  }): Promise<ProgramMark>
  /** Takes up watching a program that a former agent started; false: it is not running. */
  adopt(id: string, mark: ProgramMark): Promise<boolean>
  /** How a program ended while no agent ran (both absent: unknown). */
  endOf(id: string, mark: ProgramMark): Promise<ProgramEnd>
  /** Called once for each program, started or adopted, that ended (both absent: unknown how). */
  onEnd(listener: (id: string, mark: ProgramMark, end: ProgramEnd) => void): void
  /** To the whole group; nothing happens when the mark is no longer that program. */
  signal(id: string, mark: ProgramMark, signal: NodeJS.Signals): void
  /** Kills whatever still carries the instance's mark: children that left the group (SIGKILL). */
  sweep(id: string): Promise<void>
  /** Ids of instances with running processes that carry this agent's mark, known to it or not. */
  strays(): Promise<string[]>
  /** A port of the range that nothing listens on and that is not in `taken`; undefined: none. */
  freePort(
    range: { from: number; to: number },
    taken: ReadonlySet<number>,
  ): Promise<number | undefined>
  isPortFree(port: number): Promise<boolean>
  /** One check; resolves to words either way, never rejects. */
  probe(check: Probe): Promise<ProbeAnswer>
  logTail(id: string): Promise<string[]>
  usage(id: string, mark: ProgramMark): Promise<InstanceUsage | undefined>
  /** What the newest start of an instance has run out of; asked before it is forgotten. */
  shortages(id: string): Promise<Shortage[]>
  /** What keeps programs from each other here. */
  isolation(): Isolation
  /** Deletes an instance's output files and private folder. */
  forget(id: string): Promise<void>
}

/** A command is run as the program of this id and mark is. */
export type Probe = {
  id: string
  mark: ProgramMark
  port: number
  way: CheckWay
  timeoutMs: number
}

/** `limit`: bytes or tasks; a program without a limit of memory may find its node full. */
export type Shortage = { of: 'memory'; limit: number | undefined } | { of: 'pids'; limit: number }

export type ProbeAnswer = { ok: boolean; words: string }

/** Fetches by digest from the controller, verifies, unpacks, builds once, keeps three. */
export type Images = {
  /**
   * Resolves to the folder to run in. Rejects with PrepareError; `onPhase` says what it is doing.
   * Calls for one digest are one piece of work.
   */
  prepare(
    image: AssignedInstance['image'],
    onPhase: (phase: 'fetching' | 'building') => void,
  ): Promise<{ folder: string }>
  /** Digests in use; all others but the newest three may go. */
  retain(digests: ReadonlySet<string>): Promise<void>
}

/** A failed preparation, with what the user needs to mend it. */
export class PrepareError extends Error {
  readonly detail: FailureDetail
  constructor(detail: FailureDetail) {
    super(detail.error)
    this.name = 'PrepareError'
    this.detail = detail
  }
}

export type Sensors = { sample(): Promise<NodeMetrics> }
