// Builds a world for the planner in one line and obeys its plans, without daemons.

import {
  type Action,
  type Facts,
  type NodeFact,
  type Plan,
  reconcile,
} from '#ctld/deployer/reconcile.ts'
import { hasPlace, type InstanceEvent, isFinal, isServing, nextInstance } from '#ctld/instance.ts'
import { isProgramChange } from '#ctld/revision.ts'
import type { ServiceConfig } from '#shared/configuration.ts'
import type { Deployment, Instance, Service } from '#shared/model.ts'
import { checkServiceConfig } from '#shared/service-config.ts'

export const DIGEST = `sha256:${'ab'.repeat(32)}`

/** Exchanges do not wait, unless that is what is tested. */
export function configOf(name: string, concurrency: number, extra: object = {}): ServiceConfig {
  const { update } = extra as { update?: object }
  return checkServiceConfig({
    name,
    concurrency,
    port: 8080,
    image: { digest: DIGEST, run: ['node', 'server.js'] },
    ...extra,
    update: { min_healthy: '0s', ...update },
  })
}

export class Cluster {
  nodes: NodeFact[]
  services = new Map<string, Service>()
  instances = new Map<string, Instance>()
  routed = new Set<string>()
  deployments = new Map<string, Deployment>()
  cursor: string | null = null
  frozen = false
  rescheduleAfterMs = 0
  placeFrom = 0
  isDurable = true
  now = 1_000_000
  lastId = 0

  constructor(...names: string[]) {
    this.nodes = names.map((name) => ({
      name,
      state: 'alive',
      drained: false,
      cordoned: false,
      forcedUntil: undefined,
      downAt: undefined,
      labels: {},
      size: undefined,
      isolation: undefined,
      load: 0,
    }))
  }

  declare(name: string, concurrency: number, extra: object = {}): this {
    const was = this.services.get(name)
    const config = configOf(name, concurrency, extra)
    const revision = Math.max(0, ...(was?.revisions ?? []).map((one) => one.revision)) + 1
    const isNewProgram = was === undefined || isProgramChange(was.config, config)
    const program = isNewProgram ? revision : was.programRevision
    const deployment = this.#open(name, revision, 'deploy')
    this.services.set(name, {
      ...(was?.goodRevision === undefined ? {} : { goodRevision: was.goodRevision }),
      ...(was?.rollout === undefined || isNewProgram ? {} : { rollout: was.rollout }),
      name,
      config,
      revision,
      programRevision: program,
      revisions: [...(was?.revisions ?? []), { revision, program, config, at: this.now }],
      desired: 'running',
      traffic: { state: 'open' },
      deployment,
      createdAt: this.now,
      changedAt: this.now,
    })
    return this
  }

  /** Its deployment came to a good end: what runs is what a way back would lead to. */
  prove(name: string): this {
    const service = this.service(name)
    const deployment = this.deployments.get(service.deployment)
    if (deployment === undefined) return this
    this.deployments.set(deployment.id, { ...deployment, state: 'complete_running' })
    this.services.set(name, { ...service, goodRevision: service.revision })
    return this
  }

  /** Back to the last good revision, as when a deployment failed. */
  revert(name: string): this {
    const { rollout: _, ...service } = this.service(name)
    const good = service.revisions.find(({ revision }) => revision === service.goodRevision)
    if (good === undefined) return this
    const { revision, program, config } = good
    const deployment = this.#open(name, revision, 'revert')
    this.services.set(name, { ...service, config, revision, programRevision: program, deployment })
    return this
  }

  service(name: string): Service {
    const service = this.services.get(name)
    if (service === undefined) throw new Error(`no service ${name}`)
    return service
  }

  want(name: string, desired: Service['desired']): this {
    const service = this.services.get(name)
    if (service !== undefined) this.services.set(name, { ...service, desired })
    return this
  }

  plan(): Plan {
    return reconcile(this.facts(), this.now)
  }

  facts(): Facts {
    return {
      services: [...this.services.values()],
      instances: [...this.instances.values()],
      nodes: this.nodes,
      cursor: this.cursor,
      frozen: this.frozen,
      rescheduleAfterMs: this.rescheduleAfterMs,
      placeFrom: this.placeFrom,
      isDurable: this.isDurable,
      deployments: this.deployments,
      routed: this.routed,
    }
  }

  /** Plans and obeys until there is nothing left to do. */
  settle(): this {
    for (let round = 0; round < 100; round += 1) {
      const plan = this.plan()
      this.obey(plan)
      if (plan.actions.length === 0) return this
    }
    throw new Error('the plan never comes to rest')
  }

  obey(plan: Plan): this {
    for (const action of plan.actions) this.#obeyOne(action)
    this.cursor = plan.cursor
    return this
  }

  tell(id: string, event: InstanceEvent): this {
    const instance = this.instances.get(id)
    if (instance !== undefined) this.instances.set(id, nextInstance(instance, event, this.now))
    return this
  }

  /** Every instance that is starting becomes healthy, every one told to stop ends. */
  agentsObey(): this {
    for (const { id, state, stopTry, node } of this.instances.values()) {
      const isUp = this.nodes.some((fact) => fact.name === node && fact.state === 'alive')
      if (!isUp) continue
      if (state === 'deploying') {
        this.tell(id, { kind: 'started', port: 20_000, pid: 1, restarts: 0 })
      } else if (stopTry > 0) this.tell(id, { kind: 'terminated' })
    }
    return this
  }

  /** Plans, obeys and lets the agents obey until all is quiet. */
  run(): this {
    for (let round = 0; round < 200; round += 1) {
      const before = JSON.stringify([...this.instances.values()])
      this.settle().agentsObey()
      if (JSON.stringify([...this.instances.values()]) === before) return this
    }
    throw new Error('the cluster never comes to rest')
  }

  kill(name: string): this {
    for (const fact of this.nodes) {
      if (fact.name !== name) continue
      fact.state = 'dead'
      fact.downAt = this.now
    }
    for (const { id, node } of this.instances.values()) {
      if (node === name) this.tell(id, { kind: 'node_lost', why: `${name} is dead` })
    }
    return this
  }

  /** The node comes back with all that ran on it. */
  revive(name: string): this {
    for (const fact of this.nodes) {
      if (fact.name !== name) continue
      fact.state = 'alive'
      fact.downAt = undefined
    }
    for (const { id, node, state } of this.instances.values()) {
      if (node !== name || state !== 'lost') continue
      this.tell(id, { kind: 'started', port: 20_000, pid: 1, restarts: 0 })
    }
    return this
  }

  drain(name: string): this {
    for (const fact of this.nodes) if (fact.name === name) fact.drained = true
    return this
  }

  /** Those that the route table leads to. */
  serving(service: string): Instance[] {
    return this.live(service).filter((instance) => hasPlace(instance) && isServing(instance))
  }

  /** Lets the agents obey and time pass until neither changes anything any more. */
  runOut(): this {
    for (let turn = 0; turn < 500; turn += 1) {
      const { wakeAt } = this.run().plan()
      if (wakeAt === Number.POSITIVE_INFINITY) return this
      this.now = Math.max(wakeAt, this.now)
    }
    throw new Error('time never brings it to rest')
  }

  live(service?: string): Instance[] {
    return [...this.instances.values()].filter(
      (instance) => !isFinal(instance) && (service === undefined || instance.service === service),
    )
  }

  places(service?: string): string {
    return this.live(service)
      .map(({ node }) => node)
      .join()
  }

  #open(service: string, revision: number, kind: Deployment['kind']): string {
    const id = `d${this.deployments.size + 1}-${service}`
    const state = 'deploying'
    const createdAt = this.now
    this.deployments.set(id, { id, service, revision, kind, state, why: '', createdAt })
    return id
  }

  #obeyOne(action: Action): void {
    switch (action.kind) {
      case 'place': {
        const service = this.services.get(action.service)
        if (service === undefined) return
        this.lastId += 1
        const id = `i${String(this.lastId).padStart(6, '0')}`
        this.instances.set(id, {
          id,
          service: service.name,
          revision: service.revision,
          deployment: service.deployment,
          node: action.node,
          state: 'deploying',
          attempt: 1,
          createdAt: this.now,
          changedAt: this.now,
          why: action.why,
          healthy: false,
          admitted: false,
          restarts: 0,
          stopTry: 0,
          ...(action.replaces === undefined ? {} : { replaces: action.replaces }),
        })
        return
      }
      case 'retry':
      case 'admit':
      case 'withdraw':
        this.tell(action.instance, action)
        return
      case 'rollout': {
        const service = this.services.get(action.service)
        if (service === undefined) return
        const { rollout: _, ...rest } = service
        const { rollout } = action
        this.services.set(action.service, { ...rest, ...(rollout && { rollout }) })
        return
      }
      case 'terminate':
        this.tell(action.instance, { ...action, drainMs: 30_000, stopMs: 30_000 })
        return
      case 'stop':
        this.tell(action.instance, { kind: 'drained', why: action.why, stopMs: 30_000 })
        return
      case 'stop_overdue':
        this.tell(action.instance, { kind: 'stop_overdue', stopMs: 30_000 })
        return
      case 'forget_service':
        this.services.delete(action.service)
        return
    }
  }
}
