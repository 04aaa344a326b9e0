// A controller made of data: it answers with the snapshot that the test gave it, notes every
// command and report, and refuses what the real one refuses at the same place.

import type { Command } from '#ctld/commands.ts'
import type { HoldUp } from '#ctld/deployer/drain.ts'
import type { Explanation } from '#ctld/deployer/explain.ts'
import type { RebalancePlan } from '#ctld/deployer/rebalance.ts'
import type { Forecast } from '#ctld/forecast.ts'
import type { Ctld, NodeView, Snapshot } from '#ctld/snapshot.ts'
import type { WhatIf } from '#ctld/what-if.ts'
import type { Machine } from '#shared/configuration.ts'
import { TucanoError } from '#shared/errors.ts'
import type { ClusterEvent, Deployment, Instance, Service } from '#shared/model.ts'
import { checkServiceConfig } from '#shared/service-config.ts'
import type { Report } from '#shared/wire.ts'
import { resultOf } from './command-result.ts'
import { anExplanation } from './explanation.ts'
import { aForecast } from './forecast.ts'

export const DIGEST = `sha256:${'a'.repeat(64)}`

export type FakeCtld = Ctld & {
  holds: HoldUp[]
  plan: RebalancePlan
  commands: Command[]
  /** What was to be foreseen; answered with `forecast`. */
  questions: WhatIf[]
  forecast: Forecast
  /** What `explain` answers of any service; undefined: something short. */
  explanation: Explanation | undefined
  reports: Report[]
  history: ClusterEvent[]
  /** Throws from the next submit. */
  failWith: unknown
  listeners(): number
  /** Changes the snapshot and wakes whoever waits. */
  step(change?: Partial<Snapshot>): void
  addEvent(text: string): ClusterEvent
}

export function createFakeCtld(start: Partial<Snapshot> = {}): FakeCtld {
  let snapshot: Snapshot = { ...aSnapshot(), ...start }
  const listeners = new Set<() => void>()
  const fake: FakeCtld = {
    commands: [],
    questions: [],
    forecast: aForecast(),
    explanation: undefined,
    reports: [],
    history: [],
    failWith: undefined,
    listeners: () => listeners.size,
    step(change = {}) {
      snapshot = { ...snapshot, ...change, version: snapshot.version + 1 }
      for (const listener of [...listeners]) listener()
    },
    addEvent(text) {
      const cursor = snapshot.lastEventCursor + 1
      const event = { cursor, at: 1_000, kind: 'node', text, fields: { node: 'w1' } }
      fake.history.push(event)
      fake.step({ lastEventCursor: cursor })
      return event
    },
    start: async () => {},
    stop: async () => {},
    async submit(command) {
      fake.commands.push(command)
      if (fake.failWith !== undefined) throw fake.failWith
      return resultOf(command, snapshot, aDeployment({ id: 'd-2', state: 'deploying' }))
    },
    async report(report) {
      fake.reports.push(report)
      return { epoch: snapshot.epoch, generation: 4 }
    },
    async foresee(whatIf) {
      fake.questions.push(whatIf)
      if (fake.failWith !== undefined) throw fake.failWith
      return fake.forecast
    },
    holds: [{ instance: 'i-1', service: 'api', why: 'it waits for its turn', isStuck: false }],
    plan: {
      moves: [{ instance: 'i-1', service: 'api', from: 'w1', to: 'w2', why: '2 on w1, 0 on w2' }],
      staying: [{ service: 'db', why: 'it is sticky' }],
      isCut: false,
    },
    rebalancePlan: async () => fake.plan,
    holdUps: async () => fake.holds,
    async explain(name) {
      if (!snapshot.configured_services.some((service) => service.name === name)) {
        throw new TucanoError('not_found', `there is no service ${name}`)
      }
      if (fake.explanation !== undefined) return fake.explanation
      return anExplanation(name)
    },
    snapshot: () => snapshot,
    events: async (after, limit) =>
      fake.history.filter(({ cursor }) => cursor > after).slice(0, limit),
    onChange(listener) {
      listeners.add(listener)
      return () => {
        listeners.delete(listener)
      }
    },
  }
  return fake
}

export const aMachine = (over: Partial<Machine> = {}): Machine => ({
  name: 'w1',
  kind: 'worker',
  ip: '127.0.0.1',
  agent_port: 7071,
  labels: {},
  drain: false,
  ...over,
})

export const aConfig = (over: Record<string, unknown> = {}) =>
  checkServiceConfig({
    name: 'api',
    concurrency: 2,
    image: { digest: DIGEST, run: ['node', 'server.js'] },
    port: 3000,
    ...over,
  })

export const aService = (over: Partial<Service> = {}): Service => ({
  name: 'api',
  config: aConfig(),
  revision: 1,
  programRevision: 1,
  revisions: [{ revision: 1, program: 1, config: aConfig(), at: 1_000 }],
  desired: 'running',
  traffic: { state: 'open' },
  deployment: 'd-1',
  createdAt: 1_000,
  changedAt: 1_000,
  ...over,
})

export const aDeployment = (over: Partial<Deployment> = {}): Deployment => ({
  id: 'd-1',
  service: 'api',
  revision: 1,
  kind: 'deploy',
  state: 'complete_running',
  why: 'all instances run',
  createdAt: 1_000,
  ...over,
})

export const anInstance = (over: Partial<Instance> = {}): Instance => ({
  id: 'i-1',
  service: 'api',
  revision: 1,
  deployment: 'd-1',
  node: 'w1',
  state: 'started',
  attempt: 1,
  createdAt: 1_000,
  changedAt: 2_000,
  why: 'healthy',
  port: 20_001,
  pid: 4_242,
  healthy: true,
  healthyAt: 2_000,
  admitted: true,
  phase: 'started',
  restarts: 0,
  stopTry: 0,
  ...over,
})

export const aNode = (over: Partial<NodeView> = {}): NodeView => ({
  name: 'w1',
  ip: '127.0.0.1',
  agent_port: 7071,
  labels: { rack: 'a' },
  state: 'alive',
  why: 'reports',
  changedAt: 1_000,
  silentMs: 120,
  drained: false,
  drain: null,
  cordoned: false,
  metrics: {
    cpu: 0.25,
    cores: 2,
    load: 0.5,
    memory_total: 1_000,
    memory_used: 500,
    disk_total: 1_000,
    disk_used: 100,
    net_rx_per_s: 10,
    net_tx_per_s: 20,
  },
  agentVersion: '0.1.0',
  isolation: { mode: 'v2', why: 'delegated', user: 'tucano-run', user_why: 'the default' },
  instanceCount: 1,
  ...over,
})

export const aReport = (over: Partial<Report> = {}): Report => ({
  node: 'w1',
  agent: { version: '0.1.0', boot: 'b-1', session: 's-1' },
  sequence: 1,
  interval_ms: 2_000,
  epoch: 3,
  generation: 4,
  instances: [],
  ...over,
})

function aSnapshot(): Snapshot {
  const service = aService()
  const instances = [
    anInstance(),
    anInstance({
      id: 'i-2',
      node: 'w2',
      state: 'failed_to_start',
      healthy: false,
      failure: { error: 'exited', exit_code: 1, log_tail: ['no such file'], last_probe: 'refused' },
    }),
  ]
  const nodes = [aNode(), aNode({ name: 'w2', state: 'dead', metrics: null, silentMs: null })]
  return {
    version: 7,
    epoch: 3,
    startedAt: 500,
    topology: [
      aMachine({ name: 'ctl', kind: 'ctl' }),
      aMachine(),
      aMachine({ name: 'w2', ip: '10.0.0.12' }),
    ],
    nodes,
    alive_nodes: nodes.slice(0, 1),
    dead_nodes: nodes.slice(1),
    configured_services: [service, aService({ name: 'idle', desired: 'stopped' })],
    active_services: [{ service, instances: instances.slice(0, 1) }],
    instances,
    deployments: [
      aDeployment(),
      aDeployment({
        id: 'd-2',
        state: 'deploying',
        failure: { error: 'exited', instance: 'i-2', node: 'w2' },
      }),
    ],
    pending: [{ service: 'api', count: 1, why: 'no worker is alive' }],
    spare: { state: 'ok', lacks: [] },
    incidents: [
      {
        id: 'n-1',
        kind: 'node_dead',
        subjects: ['w2'],
        over: [],
        state: 'open',
        openedAt: 1_000,
        mailAt: null,
        recoveredAt: null,
        story: ['w2 died'],
        storyDropped: 0,
        mails: 1,
      },
    ],
    outbox: 1,
    waiting: [
      { id: 'm-1', subject: '[tucano] w2', tries: 2, next_at: 140_000, last_error: '450 busy' },
    ],
    frozen: { since: 1_000, nodes: ['w2'] },
    rebalance: null,
    config: { version: 2, text: 'topology: []\n', at: 2_000, by: 'api' },
    configHistory: [{ version: 1, text: 'topology:\n', at: 1_000, by: 'start' }],
    degraded: null,
    lastEventCursor: 0,
    secrets: [
      {
        name: 'db-password',
        version: 2,
        updatedAt: 2_000,
        usedBy: [{ service: 'api', version: 1 }],
      },
    ],
    tableVersion: 12,
  }
}
