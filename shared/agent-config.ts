// The agent's configuration (M46). Pure: text in, configuration out, or one error that lists
// every problem.

import { z } from 'zod'
import type { AgentConfig } from './configuration.ts'
import { agentDefaults as defaults } from './defaults.ts'
import type { SourceDocument } from './document.ts'
import {
  describe,
  duration,
  folder,
  host,
  integer,
  isAddress,
  isHostname,
  listenPort,
  name,
  secretRef,
} from './fields.ts'
import { isolation } from './isolation-schema.ts'
import { numberAt, partOf } from './loose.ts'
import { checkDocument, type Fault } from './schema.ts'
import { readYaml } from './yaml-document.ts'

export const PORT_RANGE_MIN = 10

const rangePort = () => integer(1_024, 65_535)

const portRange = z.strictObject({
  from: describe(rangePort(), 'First port.').default(defaults.port_range.from),
  to: describe(rangePort(), 'Last port.').default(defaults.port_range.to),
})

const controllerUrl = z
  .string()
  .max(300)
  .refine(isControllerUrl)
  .overwrite((url) => url.replace(/\/$/, ''))
  .meta({ expected: 'the address of the controller API like http://10.0.0.10:7070' })

export const agentSchema = z.strictObject({
  name: describe(name(), 'Name of this worker in the topology.'),
  controller: describe(controllerUrl, "Address of the controller's API."),
  token: describe(secretRef(), 'Token that agents and the controller show each other.', {
    fallback: 'file `agent-token` in `data_folder`',
  }).exactOptional(),
  host: describe(host(), 'Where the agent and its instances listen.').default(defaults.host),
  port: describe(
    listenPort(),
    'Port of the agent; agent_port of this worker in the topology.',
  ).default(defaults.port),
  publish_interval: describe(
    duration('50ms', '1h'),
    'Interval at which metrics and status are sent to the controller.',
  ).default(defaults.publish_interval),
  port_range: describe(portRange, 'Ports given to instances, both ends included.').prefault({}),
  data_folder: describe(folder(), 'Folder of images, builds, logs and state.').default(
    defaults.data_folder,
  ),
  isolation: describe(isolation, 'What keeps programs from each other.').prefault({}),
})

/** Throws `invalid_config` with every problem, each with file, line, column and key. */
export function parseAgentConfig(text: string, file: string): AgentConfig {
  return checkAgentConfig(readYaml(text, file))
}

export function checkAgentConfig(document: SourceDocument): AgentConfig {
  const config = checkDocument(agentSchema, document, { across: portFaults })
  return { ...config, token: config.token ?? { file: `${config.data_folder}/agent-token` } }
}

function portFaults(data: unknown): Fault[] {
  const range = partOf(data, 'port_range')
  const from = numberAt(range, 'from') ?? defaults.port_range.from
  const to = numberAt(range, 'to') ?? defaults.port_range.to
  if (to - from + 1 < PORT_RANGE_MIN) {
    const what = `expected at least ${PORT_RANGE_MIN} ports, from below to; got ${from}..${to}`
    return [{ path: ['port_range'], what }]
  }
  const port = numberAt(data, 'port') ?? defaults.port
  if (port < from || port > to) return []
  return [
    { path: ['port'], what: `the agent's own port ${port} lies in port_range ${from}..${to}` },
  ]
}

const urlPattern = /^http:\/\/(?:\[([0-9a-fA-F:.]{2,45})\]|([^/:@?#[\]\s]{1,253})):(\d{1,5})\/?$/

function isControllerUrl(text: string): boolean {
  const [, bracketed, plain, port] = urlPattern.exec(text) ?? []
  const known = bracketed === undefined ? plain : bracketed
  if (known === undefined || Number(port) < 1 || Number(port) > 65_535) return false
  return isAddress(known) || (bracketed === undefined && isHostname(known))
}
