// The controller's configuration: which machines there are and how the controller treats them
// (M41–M44, Q13, Q14). Exactly one machine is the controller. Pure: text in, configuration out,
// or one error that lists every problem.

import { isDeepStrictEqual } from 'node:util'
import type { ControllerConfig, Machine } from './configuration.ts'
import type { SourceDocument } from './document.ts'
import { checkDocument } from './schema.ts'
import { topologyFaults } from './topology-rules.ts'
import { topologySchema } from './topology-schema.ts'
import { readYaml } from './yaml-document.ts'

/** Throws `invalid_config` with every problem, each with file, line, column and key. */
export function parseTopology(text: string, file: string): ControllerConfig {
  return checkTopology(readYaml(text, file))
}

/** The same for data that is already read, as from the API. */
export function checkTopology(document: SourceDocument): ControllerConfig {
  const config = checkDocument(topologySchema, document, { across: topologyFaults })
  const { folder: home } = config.store
  return {
    ...config,
    api: {
      ...config.api,
      host: config.api.host ?? controllerOf(config).ip,
      admin_token: config.api.admin_token ?? { file: `${home}/admin-token` },
      agent_token: config.api.agent_token ?? { file: `${home}/agent-token` },
    },
  }
}

type WithTopology = Pick<ControllerConfig, 'topology'>

/** The one controller (M44). */
export function controllerOf(config: WithTopology): Machine {
  const controller = config.topology.find(({ kind }) => kind === 'ctl')
  if (controller === undefined) throw new Error('a checked topology has a controller')
  return controller
}

/** The workers, in the order of the file (Q01). */
export function workersOf(config: WithTopology): Machine[] {
  return config.topology.filter(({ kind }) => kind === 'worker')
}

export function machineOf(config: WithTopology, machineName: string): Machine | undefined {
  return config.topology.find((candidate) => candidate.name === machineName)
}

export type TopologyDiff = {
  /** Workers of the new version that the old one has not. */
  added: Machine[]
  removed: Machine[]
  /** Workers of the same name that differ, as they are in the new version. */
  changed: Machine[]
  /** Keys that differ and that a running controller cannot take over: `api.port`. */
  restartRequired: string[]
}

export function diffTopology(before: ControllerConfig, after: ControllerConfig): TopologyDiff {
  const old = byName(workersOf(before))
  const current = byName(workersOf(after))
  return {
    added: workersOf(after).filter(({ name }) => !old.has(name)),
    removed: workersOf(before).filter(({ name }) => !current.has(name)),
    changed: workersOf(after).filter((worker) => {
      const was = old.get(worker.name)
      return was !== undefined && !isDeepStrictEqual(was, worker)
    }),
    restartRequired: [
      ...differing('controller', controllerOf(before), controllerOf(after)),
      ...differing('api', before.api, after.api),
      ...differing('store', before.store, after.store),
    ],
  }
}

function byName(machines: readonly Machine[]): Map<string, Machine> {
  return new Map(machines.map((machine) => [machine.name, machine]))
}

function differing<T extends object>(prefix: string, before: T, after: T): string[] {
  const keys = new Set([...Object.keys(before), ...Object.keys(after)]) as Set<keyof T & string>
  return [...keys]
    .filter((key) => !isDeepStrictEqual(before[key], after[key]))
    .map((key) => `${prefix}.${key}`)
    .sort()
}
