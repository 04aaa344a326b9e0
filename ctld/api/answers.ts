// The shape of everything that the API answers. The compiler holds it to the model's types, the
// tests hold the real answers to it, and the OpenAPI document is made from it.

import { z } from 'zod'
import type { Incident } from '#ctld/discovery/document.ts'
import type { Pending, WaitingMail } from '#ctld/snapshot.ts'
import type { ClusterEvent, Deployment, IncidentKind, Instance, Service } from '#shared/model.ts'
import { at, count, members, type Same } from './answer-parts.ts'
import {
  deploymentAnswer,
  instanceAnswer,
  maintenance,
  open,
  paused,
  serviceAnswer,
} from './service-answers.ts'

export const acceptedAnswer = z.strictObject({
  deployment_id: z.string(),
  deployment: deploymentAnswer,
  hints: z.array(z.string()).describe('What whoever deploys should know, though nothing is wrong'),
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
  running: count.describe('Instances that serve: admitted and healthy'),
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
    drain_late: 'drain_late',
    no_spare: 'no_spare',
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

/** Fails to compile when a shape above no longer says what the model says. */
export const sameAsModel: [
  Same<Instance, typeof instanceAnswer>,
  Same<Service, typeof serviceAnswer>,
  Same<Deployment, typeof deploymentAnswer>,
  Same<Pending, typeof pendingAnswer>,
  Same<ClusterEvent, typeof eventAnswer>,
  Same<Incident, typeof incidentAnswer>,
  Same<WaitingMail, typeof waitingMailAnswer>,
] = [true, true, true, true, true, true, true]
