// The three configurations with all that is needed to break each of their keys in turn.

import { readFileSync } from 'node:fs'
import { agentSchema, parseAgentConfig } from '#shared/agent-config.ts'
import { type Problem, TucanoError } from '#shared/errors.ts'
import { parseServiceConfig } from '#shared/service-config.ts'
import { serviceSchema } from '#shared/service-schema.ts'
import { parseTopology } from '#shared/topology.ts'
import { topologySchema } from '#shared/topology-schema.ts'
import { readYaml } from '#shared/yaml-document.ts'

export const configurations = [
  {
    title: 'topology',
    file: 'topology.example.yaml',
    schema: topologySchema,
    parse: parseTopology,
  },
  { title: 'agent', file: 'agent.example.yaml', schema: agentSchema, parse: parseAgentConfig },
  {
    title: 'service',
    file: 'services/service.example.yaml',
    schema: serviceSchema,
    parse: parseServiceConfig,
  },
] as const

export type Data = Record<string, unknown>

export const exampleText = (file: string): string => readFileSync(file, 'utf8')

/** The example with its commented keys in force: every key that there is. */
export function fullExample(file: string): Data {
  const text = exampleText(file).replace(/^( *)# ( *[a-z0-9_]+:( .*)?)$/gm, '$1$2')
  return readYaml(text, file).data as Data
}

/** What the reader of a configuration complains about; fails when it does not. */
export function problemsOf(read: () => unknown): readonly Problem[] {
  return refusalOf(read).problems
}

export function refusalOf(read: () => unknown): TucanoError {
  try {
    read()
  } catch (error) {
    if (error instanceof TucanoError && error.code === 'invalid_config') return error
    throw error
  }
  throw new Error('accepted what it should refuse')
}

/** The problems as text, one on a line. */
export function complaints(read: () => unknown): string {
  return problemsOf(read)
    .map(({ where, what }) => `${where}: ${what}`)
    .join('\n')
}
