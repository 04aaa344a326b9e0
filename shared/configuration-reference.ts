// Writes docs/configuration.md from the schemas, so that no key is without a word on it.

import type { z } from 'zod'
import { agentSchema } from './agent-config.ts'
import { isGroup, type KeyDescription, keysOf, metaOf, shapeOf } from './schema-keys.ts'
import { serviceSchema } from './service-schema.ts'
import { topologySchema } from './topology-schema.ts'

export const configurations = [
  {
    title: 'Controller',
    about: 'Read by `tucano_ctld`. Example: `topology.example.yaml`.',
    schema: topologySchema,
  },
  {
    title: 'Agent',
    about: 'Read by `tucano_agentd`. Example: `agent.example.yaml`.',
    schema: agentSchema,
  },
  {
    title: 'Service',
    about: 'Read by `tucano deploy`. Example: `services/service.example.yaml`.',
    schema: serviceSchema,
  },
] as const satisfies { title: string; about: string; schema: z.ZodType }[]

const introduction = `# Configuration

Written from the schemas; a test fails when it differs from them
(\`npx vitest run --project fast test/shared/configuration-reference.test.ts -u\` writes it anew).

Files are YAML 1.2 of at most 64 KiB. Aliases, unknown tags, duplicate keys and unknown keys are
refused. A daemon does not start with a configuration that has a fault, and every fault is named
with file, line, column and key. The API takes the same keys as JSON.

Durations are a number and a unit: \`250ms\`, \`2s\`, \`10m\`, \`6h\`, \`1d\`. A secret is never in a
configuration: \`{file: <path>}\` names a file of mode 0600, \`{env: <VARIABLE>}\` an environment
variable. Relative paths start at the folder of the configuration file. \`[]\` stands for each item
of a list, \`*\` for each key of a mapping.
`

/** The whole reference as Markdown. */
export function configurationReference(): string {
  const sections = configurations.map(
    ({ title, about, schema }) => `## ${title}\n\n${about}\n\n${table(keysOf(schema).map(row))}`,
  )
  return [introduction, ...sections].join('\n')
}

function row(key: KeyDescription): string[] {
  const isMapping = Object.keys(shapeOf(key.schema)).length > 0 && !metaOf(key.schema).expected
  const value = isMapping ? 'a mapping' : key.expected
  const cells = [`\`${key.key}\``, key.description, value, defaultText(key)]
  return cells.map((cell) => cell.replaceAll('|', '\\|'))
}

/** Columns are padded as the formatter would do it. */
function table(rows: readonly string[][]): string {
  const header = ['key', 'meaning', 'value', 'default']
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map((cells) => cells[column]?.length ?? 0)),
  )
  const dashes = widths.map((width) => '-'.repeat(width))
  return [header, dashes, ...rows]
    .map((cells) => `| ${cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(' | ')} |\n`)
    .join('')
}

function defaultText(key: KeyDescription): string {
  const { fallback } = metaOf(key.schema)
  if (fallback !== undefined) return fallback
  if (key.required) return 'required'
  if (isGroup(key.schema)) return 'those of its keys'
  if (key.default === undefined || key.default === '') return 'none'
  return `\`${typeof key.default === 'string' ? key.default : JSON.stringify(key.default)}\``
}
