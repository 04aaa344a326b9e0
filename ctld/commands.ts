// What users ask of the controller, as data: the API turns each request into one command, the
// loop folds it into the state and answers when that is on disk.

import type { ServiceConfig } from '#shared/configuration.ts'
import type { Deployment, Rebalance, Service } from '#shared/model.ts'
import type { SecretView } from './snapshot.ts'

export type Command =
  | { kind: 'deploy'; config: ServiceConfig }
  | { kind: 'scale'; service: string; concurrency: number }
  | { kind: 'stop'; service: string }
  | { kind: 'start'; service: string }
  | { kind: 'remove'; service: string }
  /** Replaces all its instances, with the secrets as they are now. */
  | { kind: 'restart'; service: string }
  /** Back to a former revision; without a number to the last one that worked. */
  | { kind: 'rollback'; service: string; revision?: number }
  | TrafficCommand
  | SecretCommand
  | NodeCommand
  | RebalanceCommand
  /** Lifts the freeze of re-placement: the sysadmin says that the nodes are really gone. */
  | { kind: 'unfreeze' }
  /** `version` is the one that the change is based on; a stale one is refused (Q13, S30). */
  | { kind: 'put_config'; version: number; text: string; by: 'api' | 'file' }
  | { kind: 'test_alert' }

/** What becomes of a service's requests; its instances run on. `page`: HTML for visitors. */
export type TrafficCommand =
  | { kind: 'pause'; service: string; forMs: number }
  | { kind: 'maintenance'; service: string; page?: string }
  | { kind: 'resume'; service: string }

export type SecretCommand =
  | { kind: 'put_secret'; name: string; value: string }
  | { kind: 'remove_secret'; name: string }

export type NodeCommand =
  | { kind: 'cordon' | 'uncordon' | 'undrain'; node: string }
  /** Refused when the others cannot hold what is on it, unless `force`. Absent: 10 min. */
  | { kind: 'drain'; node: string; deadlineMs?: number; force?: boolean }

export type RebalanceCommand =
  /** `instances`: those that it shall move, in order; refused when the plan is another one now. */
  { kind: 'rebalance'; instances?: readonly string[] } | { kind: 'stop_rebalance' }

export type CommandResult = {
  rebalance?: Rebalance | null
  service?: Service
  deployment?: Deployment
  config?: { version: number; restart_required: string[] }
  mail?: { id: string }
  secret?: SecretView & { isNew: boolean }
}
