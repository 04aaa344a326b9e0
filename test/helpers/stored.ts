// Small builders of what the stores keep.

import { DOCUMENT_FORMAT, type StateDocument } from '#ctld/discovery/document.ts'
import type { StoreChanges } from '#ctld/ports.ts'
import type { ClusterEvent, Deployment, Instance } from '#shared/model.ts'

export function aDocument(epoch: number): StateDocument {
  return {
    format: DOCUMENT_FORMAT,
    epoch,
    config: [{ version: 1, text: 'topology: []', at: 1, by: 'start' }],
    cursor: null,
    services: [],
    nodes: [],
    frozen: null,
    rebalance: null,
    rebalanceDueAt: null,
    incidents: [],
    outbox: [],
  }
}

export function anInstance(id: string, rest: Partial<Instance> = {}): Instance {
  return {
    id,
    service: 'api',
    revision: 1,
    deployment: 'd1',
    node: 'w1',
    state: 'started',
    attempt: 1,
    createdAt: 1,
    changedAt: 1,
    why: 'placed in topology order',
    healthy: true,
    healthyAt: 1,
    admitted: true,
    restarts: 0,
    stopTry: 0,
    ...rest,
  }
}

export function aDeployment(id: string, rest: Partial<Deployment> = {}): Deployment {
  return {
    id,
    service: 'api',
    revision: 1,
    kind: 'deploy',
    state: 'complete_running',
    why: 'all instances started',
    createdAt: 1,
    finishedAt: 2,
    ...rest,
  }
}

export function anEvent(cursor: number): ClusterEvent {
  return { cursor, at: cursor, kind: 'node', text: 'node is alive', fields: { node: 'w1' } }
}

export function changes(rest: Partial<StoreChanges> = {}): StoreChanges {
  return {
    instances: { put: [], remove: [] },
    deployments: { put: [], remove: [] },
    events: [],
    ...rest,
  }
}

/** The nth commit of a writer: each part of it tells n. */
export function nthCommit(n: number): StoreChanges {
  return changes({
    document: aDocument(n),
    instances: { put: [anInstance(`i${n % 20}`, { revision: n })], remove: [`i${(n + 5) % 20}`] },
    deployments: { put: [aDeployment('d1', { revision: n })], remove: [] },
    events: [anEvent(n)],
  })
}
