// What `tucano up` writes for the daemons: one controller's and each agent's configuration, on
// this machine's loopback. Pure. JSON strings are YAML strings, whatever a path contains.

import { join } from 'node:path'

export const WORKERS_MAX = 20
export const HOST = '127.0.0.1'

/** Hosts' ports of instances, divided among the agents so that none takes another's. */
const INSTANCE_PORTS = { from: 20_000, to: 32_000 }

export type Ports = { api: number; balancer: number; agents: number[] }

export const workerName = (index: number): string => `w${index + 1}`

export function controllerUrl({ api }: Ports): string {
  return `http://${HOST}:${api}`
}

export function balancerUrl({ balancer }: Ports): string {
  return `http://${HOST}:${balancer}`
}

/**
 * A machine that runs everything at once answers late now and then: silence counts for longer
 * here than in a cluster, where each node has its own.
 */
export function topologyText(folder: string, ports: Ports): string {
  const workers = ports.agents.map(
    (port, index) =>
      `  - { name: ${workerName(index)}, kind: worker, ip: ${HOST}, agent_port: ${port} }`,
  )
  return `# Written by tucano up; it is written again when the ports or the number of workers change.
topology:
  - { name: c1, kind: ctl, ip: ${HOST} }
${workers.join('\n')}
api:
  host: ${HOST}
  port: ${ports.api}
  admin_token: { file: ${JSON.stringify(join(folder, 'admin-token'))} }
  agent_token: { file: ${JSON.stringify(join(folder, 'agent-token'))} }
balancer:
  host: ${HOST}
  port: ${ports.balancer}
store:
  folder: ${JSON.stringify(join(folder, 'controller'))}
health:
  liveness_timeout: 5s
`
}

export function agentText(folder: string, ports: Ports, index: number): string {
  const { from, to } = rangeOf(ports.agents.length, index)
  return `# Written by tucano up at each start.
name: ${workerName(index)}
controller: ${controllerUrl(ports)}
token: { file: ${JSON.stringify(join(folder, 'agent-token'))} }
host: ${HOST}
port: ${ports.agents[index]}
publish_interval: 1s
port_range: { from: ${from}, to: ${to} }
data_folder: ${JSON.stringify(agentFolder(folder, index))}
`
}

export function agentFolder(folder: string, index: number): string {
  return join(folder, 'agents', workerName(index))
}

export function contextText(ports: Ports): string {
  const context = { controller: controllerUrl(ports), token_file: 'admin-token' }
  return `${JSON.stringify(context, null, 2)}\n`
}

export function rangeOf(count: number, index: number): { from: number; to: number } {
  const size = Math.floor((INSTANCE_PORTS.to - INSTANCE_PORTS.from + 1) / count)
  const from = INSTANCE_PORTS.from + index * size
  return { from, to: from + size - 1 }
}
