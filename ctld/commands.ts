// What users ask of the controller, as data: the API turns each request into one command, the
// loop folds it into the state and answers when that is on disk.

import type { ServiceConfig } from '#shared/configuration.ts'
import type { Deployment, Service } from '#shared/model.ts'

export type Command =
  | { kind: 'deploy'; config: ServiceConfig }
  | { kind: 'scale'; service: string; concurrency: number }
  | { kind: 'stop'; service: string }
  | { kind: 'start'; service: string }
  | { kind: 'remove'; service: string }
  | TrafficCommand
  | { kind: 'drain'; node: string }
  | { kind: 'undrain'; node: string }
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

export type CommandResult = {
  service?: Service
  deployment?: Deployment
  config?: { version: number; restart_required: string[] }
  mail?: { id: string }
}
