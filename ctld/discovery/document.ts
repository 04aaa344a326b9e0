// The small part of the controller's state: one JSON document, written whole. Nothing in it grows
// with the number of instances; each list has a named limit.

import type { Machine } from '#shared/configuration.ts'
import type {
  IncidentKind,
  Mail,
  NodeDrain,
  NodeSize,
  NodeState,
  Rebalance,
  Service,
} from '#shared/model.ts'
import type { Isolation } from '#shared/wire.ts'

export const DOCUMENT_FORMAT = 1
export const CONFIG_HISTORY_MAX = 20
export const INCIDENTS_MAX = 200
export const OUTBOX_MAX = 500

export type StateDocument = {
  format: typeof DOCUMENT_FORMAT
  /** Grows with each start of the controller; in every order to an agent. */
  epoch: number
  config: ConfigVersion[]
  /** Name of the worker that got the last instance (Q01). */
  cursor: string | null
  services: Service[]
  nodes: NodeMark[]
  /** Set while re-placement is frozen because more than half of the nodes vanished at once. */
  frozen: { since: number; nodes: string[] } | null
  /** The one under way, or the last one. */
  rebalance: Rebalance | null
  /** Wall instant at which the controller looks by itself whether to rebalance. */
  rebalanceDueAt: number | null
  incidents: Incident[]
  outbox: OutboxMail[]
}

/** One accepted text of the controller's configuration; the last one is in force. */
export type ConfigVersion = {
  version: number
  text: string
  at: number
  by: 'start' | 'api' | 'file'
}

/** What is remembered of a node across a restart of the controller. */
export type NodeMark = {
  name: string
  state: NodeState
  /** Wall instant of its last change of state. */
  changedAt: number
  why: string
  /** Operator's drain, beside the one in the topology. */
  drained: boolean
  /** How that drain is to end; absent while there is none. */
  drain?: NodeDrain
  /** It gets no new instance; those that it has stay. */
  cordoned: boolean
  /** As its last report told; absent: none did. */
  size?: NodeSize
  isolation?: Isolation['mode']
  /** Set while a worker that left the topology is drained; it is forgotten when it is empty. */
  leaving: Machine | null
}

/** One matter that the sysadmin is told of: one mail when it opens, one when it is over (Q19). */
export type Incident = {
  id: string
  kind: IncidentKind
  /** What it is about: node names, or the service. Grouped incidents have many. */
  subjects: string[]
  /** Those of `subjects` that are well again; when all are, the incident has recovered. */
  over: string[]
  state: 'gathering' | 'open' | 'recovered'
  openedAt: number
  /** Wall instant at which the next mail about it is due: the first, a reminder or the recovery. */
  mailAt: number | null
  recoveredAt: number | null
  /** Sentences with their time, oldest first: what was moved, what could not be, who came back. */
  story: string[]
  /** Sentences left out of the middle of a story that grew too long. */
  storyDropped: number
  mails: number
}

export type MailKind = 'first' | 'first_and_recovery' | 'reminder' | 'recovery' | 'digest' | 'test'

export type OutboxMail = {
  id: string
  kind: MailKind
  /** null: a digest of several incidents, or a test. */
  incident: string | null
  /** Wall instant at which it was written. */
  createdAt: number
  mail: Mail
  /** Mails that were dropped from a full outbox and that this one's text tells of. */
  dropped: number
  tries: number
  /** Wall instant before which it is not tried again. */
  nextAt: number
  lastError: string | null
}
