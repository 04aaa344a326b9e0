// What must hold between the keys of a controller's configuration. Works on unchecked data, so
// that these faults are named together with those of single keys.

import { topologyDefaults } from './defaults.ts'
import type { Path } from './document.ts'
import { canonicalAddress } from './fields.ts'
import { numberAt, partOf, textAt } from './loose.ts'
import type { Fault } from './schema.ts'

type LooseMachine = {
  path: Path
  name: string | undefined
  kind: string | undefined
  ip: string | undefined
  agentPort: number
}

type Listener = { what: string; path: Path; host: string; port: number }

/** Exactly one controller, nothing twice, no two listeners on one port, mail that can be sent. */
export function topologyFaults(data: unknown): Fault[] {
  const listed = partOf(data, 'topology')
  if (!Array.isArray(listed)) return alertsFaults(data)
  const machines = listed.map(readMachine)
  return [
    ...controllerFaults(machines),
    ...repeated(machines, nameOf, 'name'),
    ...repeated(machines, placeOf, 'ip and agent_port'),
    ...listenerFaults(data, machines),
    ...alertsFaults(data),
  ]
}

function readMachine(entry: unknown, index: number): LooseMachine {
  const ip = textAt(entry, 'ip')
  return {
    path: ['topology', index],
    name: textAt(entry, 'name'),
    kind: textAt(entry, 'kind'),
    ip: ip === undefined ? undefined : canonicalAddress(ip),
    agentPort: numberAt(entry, 'agent_port') ?? topologyDefaults.machine.agent_port,
  }
}

/** M44, Q14: high availability would be ideal, but a system has exactly one controller. */
function controllerFaults(machines: readonly LooseMachine[]): Fault[] {
  const controllers = machines.filter(({ kind }) => kind === 'ctl')
  if (controllers.length === 1) return []
  if (controllers.length === 0) {
    return [{ path: ['topology'], what: 'no machine is of kind ctl; exactly one must be' }]
  }
  const named = controllers.map(({ name, ip }) => `${name ?? '(no name)'} (${ip ?? 'no ip'})`)
  const what = `${controllers.length} machines are of kind ctl, but exactly one must be: ${named.join(', ')}`
  return [{ path: [...(controllers[1]?.path ?? []), 'kind'], what }]
}

const nameOf = ({ name }: LooseMachine) => name

/** Where the agent of a worker is reached. The controller runs no agent. */
const placeOf = ({ kind, ip, agentPort }: LooseMachine) =>
  kind !== 'worker' || ip === undefined ? undefined : addressText(ip, agentPort)

function repeated(
  machines: readonly LooseMachine[],
  textOf: (machine: LooseMachine) => string | undefined,
  key: string,
): Fault[] {
  const first = new Map<string, LooseMachine>()
  return machines.flatMap((machine) => {
    const text = textOf(machine)
    if (text === undefined) return []
    const other = first.get(text)
    if (other === undefined) first.set(text, machine)
    if (other === undefined) return []
    const whose = `${other.name ?? 'another machine'} (topology[${other.path.at(-1)}])`
    return [
      {
        path: [...machine.path, key === 'name' ? 'name' : 'ip'],
        what: `same ${key} as ${whose}: ${text}`,
      },
    ]
  })
}

function listenerFaults(data: unknown, machines: readonly LooseMachine[]): Fault[] {
  const controllerIp = machines.find(({ kind }) => kind === 'ctl')?.ip ?? '0.0.0.0'
  const api = listenerOf(data, 'api', controllerIp, topologyDefaults.api.port)
  const { host, port } = topologyDefaults.balancer
  const balancer = listenerOf(data, 'balancer', host, port)
  const agents = machines.flatMap(({ kind, ip, agentPort, path, name }) =>
    kind === 'worker' && ip === controllerIp
      ? [{ what: `agent of ${name}`, path: [...path, 'agent_port'], host: ip, port: agentPort }]
      : [],
  )
  return [
    ...clash(balancer, api),
    ...agents.flatMap((agent) => [...clash(agent, api), ...clash(agent, balancer)]),
  ]
}

function listenerOf(data: unknown, key: string, host: string, port: number): Listener {
  const part = partOf(data, key)
  return {
    what: key,
    path: [key, 'port'],
    host: canonicalAddress(textAt(part, 'host') ?? host),
    port: numberAt(part, 'port') ?? port,
  }
}

function clash(later: Listener, earlier: Listener): Fault[] {
  const everywhere = [later.host, earlier.host].some((host) => host === '0.0.0.0' || host === '::')
  if (later.port !== earlier.port || !(everywhere || later.host === earlier.host)) return []
  const what = `${later.what} and ${earlier.what} cannot both listen on port ${later.port} (${later.host}, ${earlier.host})`
  return [{ path: later.path, what }]
}

/** Mail needs a sender and somebody to read it. */
function alertsFaults(data: unknown): Fault[] {
  const alerts = partOf(data, 'alerts')
  if (partOf(alerts, 'smtp') === undefined) return []
  const faults: Fault[] = []
  if (partOf(alerts, 'from') === undefined) {
    faults.push({ path: ['alerts', 'from'], what: 'missing; alerts.smtp needs a sender' })
  }
  if (isEmpty(partOf(alerts, 'to'))) {
    faults.push({ path: ['alerts', 'to'], what: 'missing; alerts.smtp needs a recipient' })
  }
  return faults
}

const isEmpty = (list: unknown) => list === undefined || (Array.isArray(list) && list.length === 0)

function addressText(ip: string, port: number): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`
}
