// A cluster of the real daemons as processes on loopback, for end-to-end tests. It waits for
// events of the cluster's own history, never for time to pass, and ends only what it started.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { markedProcesses } from '#agentd/images/marked-processes.io.ts'
import { agentTagOf } from '#agentd/runner/launch.io.ts'
import type { NodeView } from '#ctld/snapshot.ts'
import type { ServiceConfig } from '#shared/configuration.ts'
import type { Deployment, Instance, Service } from '#shared/model.ts'
import { packFolder } from '#shared/pack.io.ts'
import { readServiceFile } from '#shared/read-config.io.ts'
import { withDigest } from '#shared/service-config.ts'
import { type Daemon, startDaemon } from './daemon.ts'
import { freePorts } from './free-ports.ts'
import { removeGroups } from './groups.ts'
import { PATIENCE } from './patience.ts'

const root = join(import.meta.dirname, '../..')

export type Runtime = {
  alive_nodes: NodeView[]
  dead_nodes: NodeView[]
  configured_services: Service[]
  active_services: { service: Service; instances: Instance[] }[]
}

export type ToldEvent = { at: number; kind: string; fields: Record<string, unknown> }

export type RealCluster = AsyncDisposable & {
  folder: string
  apiUrl: string
  balancerUrl: string
  ports: { api: number; balancer: number }
  token: string
  startController(): Promise<Daemon>
  startAgent(name: string, flags?: string[]): Promise<Daemon>
  controller(): Daemon
  agent(name: string): Daemon
  /** The process that carries the traffic now. */
  balancerPid(): Promise<number>
  api<T>(method: string, path: string, body?: unknown): Promise<{ status: number; body: T }>
  runtime(): Promise<Runtime>
  instances(service?: string): Promise<Instance[]>
  /** Packs, uploads and declares; resolves to the deployment once it is settled. */
  deploy(service: string, change?: Partial<ServiceConfig>): Promise<Deployment>
  declare(config: ServiceConfig): Promise<Deployment>
  settled(deployment: string): Promise<Deployment>
  /** `service`: one of services/, or a folder of the repository that has a service.yaml. */
  upload(service: string, change?: Partial<ServiceConfig>): Promise<ServiceConfig>
  /** Waits until the check answers something; looks again at each event of the cluster. */
  until<T>(what: string, check: () => Promise<T | undefined | false>, limitMs?: number): Promise<T>
  events(after?: number): Promise<ToldEvent[]>
  /** A request with this Host through the balancer. */
  ask(host: string, path?: string): Promise<{ status: number; body: string; headers: Headers }>
}

export type ClusterOptions = {
  workers?: number
  /** YAML lines for the controller's configuration, beside topology, api, balancer and store. */
  extra?: string
  /** YAML of each worker's entry, beside name, kind, ip and agent_port. */
  worker?: string
  publishInterval?: string
  startAgents?: boolean
  /** Starts bin/…, with the flags of a release, instead of main.ts. */
  asReleased?: boolean
}

export async function startCluster(options: ClusterOptions = {}): Promise<RealCluster> {
  const folder = await mkdtemp(join(tmpdir(), 'tucano-e2e-'))
  const names = Array.from({ length: options.workers ?? 3 }, (_, index) => `w${index + 1}`)
  const [api = 0, balancer = 0, ...agentPorts] = await freePorts(2 + names.length)
  const daemons = new Map<string, Daemon>()
  const agentPort = (name: string) => agentPorts[names.indexOf(name)]
  const workers = names.map(
    (name) =>
      `  - { name: ${name}, kind: worker, ip: 127.0.0.1, agent_port: ${agentPort(name)}` +
      `${options.worker === undefined ? '' : `, ${options.worker}`} }`,
  )
  const topology = join(folder, 'topology.yaml')
  await writeFile(
    topology,
    [
      'topology:',
      '  - { name: c1, kind: ctl, ip: 127.0.0.1 }',
      ...workers,
      `api: { port: ${api} }`,
      `balancer: { host: 127.0.0.1, port: ${balancer} }`,
      `store: { folder: ${folder}/ctld }`,
      options.extra ?? '',
      '',
    ].join('\n'),
  )
  const apiUrl = `http://127.0.0.1:${api}`

  async function start(name: string, part: string, args: string[], ready: RegExp) {
    const log = join(folder, `${name}.log`)
    const [program, ...before] = options.asReleased
      ? [join(root, `bin/tucano_${part}`)]
      : [process.execPath, join(root, part, 'main.ts')]
    const { daemon, isReady } = startDaemon(program, [...before, ...args], { name, log, ready })
    daemons.set(name, daemon)
    await isReady
    return daemon
  }

  const cluster: RealCluster = {
    folder,
    apiUrl,
    balancerUrl: `http://127.0.0.1:${balancer}`,
    ports: { api, balancer },
    token: '',
    async startController() {
      const args = ['--config', topology]
      const daemon = await start('ctld', 'ctld', args, /controller started/)
      cluster.token = (await readFile(`${folder}/ctld/admin-token`, 'utf8')).trim()
      return daemon
    },
    async startAgent(name, flags = []) {
      const file = join(folder, `${name}.yaml`)
      const from = 20_000 + names.indexOf(name) * 1_000
      await mkdir(join(folder, name), { recursive: true })
      await writeFile(
        file,
        [
          `name: ${name}`,
          `controller: ${apiUrl}`,
          `token: { file: ${folder}/ctld/agent-token }`,
          'host: 127.0.0.1',
          `port: ${agentPort(name)}`,
          `publish_interval: ${options.publishInterval ?? '500ms'}`,
          `port_range: { from: ${from}, to: ${from + 900} }`,
          `data_folder: ${folder}/${name}`,
          '',
        ].join('\n'),
      )
      return start(name, 'agentd', ['--config', file, ...flags], /agent listens/)
    },
    controller: () => known(daemons, 'ctld'),
    agent: (name) => known(daemons, name),
    async balancerPid() {
      return Number(await readFile(`${folder}/ctld/balancer/balancer.pid`, 'utf8'))
    },
    async api<T>(method: string, path: string, body?: unknown) {
      const response = await fetch(`${apiUrl}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${cluster.token}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(70_000),
      })
      return { status: response.status, body: (await response.json()) as T }
    },
    async runtime() {
      return (await cluster.api<Runtime>('GET', '/v1/runtime')).body
    },
    async instances(service) {
      const query = service === undefined ? '' : `?service=${service}`
      const { body } = await cluster.api<{ instances: Instance[] }>('GET', `/v1/instances${query}`)
      return body.instances
    },
    async upload(service, change = {}) {
      const home = service.includes('/') ? service : join('services', service)
      const config = await readServiceFile(join(root, home, 'service.yaml'))
      const packed = await packFolder(config.image.path ?? '')
      try {
        const response = await fetch(`${apiUrl}/v1/images`, {
          method: 'POST',
          headers: {
            authorization: `Bearer ${cluster.token}`,
            'content-type': 'application/gzip',
          },
          body: await readFile(packed.file),
        })
        if (response.status !== 201) throw new Error(await response.text())
      } finally {
        await packed.dispose()
      }
      const image = { ...config.image, ...change.image }
      return withDigest({ ...config, ...change, image }, packed.digest)
    },
    async declare(config) {
      const { status, body } = await cluster.api<{ deployment: Deployment }>(
        'POST',
        '/v1/services',
        { config },
      )
      if (status !== 202) throw new Error(`${status}: ${JSON.stringify(body)}`)
      return body.deployment
    },
    async settled(id) {
      const settled = /^(complete|incomplete|superseded|reverted)/
      return cluster.until(`deployment ${id} is settled`, async () => {
        const { body } = await cluster.api<Deployment | { deployment: Deployment }>(
          'GET',
          `/v1/deployments/${id}`,
        )
        const deployment = 'deployment' in body ? body.deployment : body
        return settled.test(deployment.state) && deployment
      })
    },
    async deploy(service, change) {
      const { id } = await cluster.declare(await cluster.upload(service, change))
      return cluster.settled(id)
    },
    async until(what, check, limitMs = 60_000 * PATIENCE) {
      const end = performance.now() + limitMs
      let cursor = 0
      while (performance.now() < end) {
        const found = await check()
        if (found !== undefined && found !== false) return found
        cursor = await nextEvent(cluster, cursor)
      }
      throw new Error(`not within ${limitMs} ms: ${what}`)
    },
    async events(after = 0) {
      const path = `/v1/events?after=${after}&limit=1000`
      const { body } = await cluster.api<{ events: never[] }>('GET', path)
      return body.events
    },
    async ask(host, path = '/') {
      // By the path, because fetch does not let a caller choose the Host.
      const response = await fetch(`${cluster.balancerUrl}/svc/${host}${path}`)
      return { status: response.status, body: await response.text(), headers: response.headers }
    },
    async [Symbol.asyncDispose]() {
      for (const daemon of daemons.values()) daemon.kill('SIGKILL')
      await Promise.all([...daemons.values()].map(({ exited }) => exited))
      for (const name of names) await killPrograms(join(folder, name))
      for (const name of names) await removeGroups(join(folder, name))
      killBalancers(`${folder}/ctld/balancer`)
      await rm(folder, { recursive: true, force: true, maxRetries: 5 })
    },
  }
  try {
    await cluster.startController()
    if (options.startAgents ?? true) {
      await Promise.all(names.map((name) => cluster.startAgent(name)))
      await cluster.until('all agents are alive', async () => {
        return (await cluster.runtime()).alive_nodes.length === names.length
      })
    }
  } catch (error) {
    await cluster[Symbol.asyncDispose]()
    throw error
  }
  return cluster
}

/** Long-polls for what happens after the cursor; a second at the most, for what is no event. */
async function nextEvent(cluster: RealCluster, cursor: number): Promise<number> {
  try {
    const path = `/v1/events?after=${cursor}&limit=1000&wait=1s`
    const { body } = await cluster.api<{ cursor: number }>('GET', path)
    return body.cursor
  } catch {
    // The controller is away: its return is what is waited for.
    await new Promise((resolve) => setImmediate(resolve))
    return cursor
  }
}

function known(daemons: Map<string, Daemon>, name: string): Daemon {
  const daemon = daemons.get(name)
  if (daemon === undefined) throw new Error(`${name} was not started`)
  return daemon
}

/** Every program that an agent of this data folder started. */
export async function programsOf(agentFolder: string): Promise<number[]> {
  return existsSync(agentFolder) ? markedProcesses('TUCANO_AGENT', agentTagOf(agentFolder)) : []
}

/** It outlives the controller; during an upgrade there are two. */
function killBalancers(balancerFolder: string): void {
  for (const entry of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const words = readFileSync(`/proc/${entry}/cmdline`, 'utf8').split('\0')
      const isOurs = words[words.indexOf('--folder') + 1] === balancerFolder
      if (isOurs) process.kill(Number(entry), 'SIGKILL')
    } catch {
      // It ended by itself meanwhile.
    }
  }
}

async function killPrograms(agentFolder: string): Promise<void> {
  for (const pid of await programsOf(agentFolder)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It ended by itself meanwhile.
    }
  }
}
