import { describe, expect, test } from 'vitest'
import { serviceDefaults, topologyDefaults } from '#shared/defaults.ts'
import { keysOf } from '#shared/schema-keys.ts'
import { parseServiceConfig } from '#shared/service-config.ts'
import { parseTopology } from '#shared/topology.ts'
import { configurations, exampleText, fullExample } from '#test/helpers/configurations.ts'

describe.each(configurations)('the example of $title', ({ file, schema, parse }) => {
  test('loads', () => {
    expect(() => parse(exampleText(file), file)).not.toThrow()
  })

  test('has every key of the schema, with a comment sign where it is optional', () => {
    const data = fullExample(file)
    const missing = keysOf(schema)
      .map(({ key }) => key)
      // A secret is either of the two.
      .filter((key) => !/(?:token|password)\.(?:file|env)$/.test(key))
      .filter((key) => valuesAt(data, key.split('.')).length === 0)
    expect(missing).toEqual([])
  })

  test('describes every key', () => {
    const bare = keysOf(schema).filter(({ description }) => !/^.{8,}\.$/.test(description))
    expect(bare.map(({ key }) => key)).toEqual([])
  })
})

test('the example of topology says the defaults', () => {
  const { health, alerts, balancer } = parseTopology(exampleText('topology.example.yaml'), 't')
  expect(health).toEqual(topologyDefaults.health)
  expect(alerts).toEqual({ ...topologyDefaults.alerts, to: [] })
  expect(balancer).toEqual({ ...topologyDefaults.balancer, trusted_proxies: [] })
})

test('the example of service says the defaults', () => {
  const config = parseServiceConfig(exampleText('services/service.example.yaml'), 's')
  const { image, ...rest } = serviceDefaults
  expect(config).toMatchObject({ ...rest, image })
})

function valuesAt(value: unknown, path: readonly string[]): unknown[] {
  const [step, ...rest] = path
  if (step === undefined) return value === undefined ? [] : [value]
  const name = step.replace('[]', '')
  if (name === '*') return Object.values(value ?? {}).flatMap((item) => valuesAt(item, rest))
  const child = (value as Record<string, unknown> | undefined)?.[name]
  const children = step.endsWith('[]') ? ((child ?? []) as unknown[]) : [child]
  return children.filter((item) => item !== undefined).flatMap((item) => valuesAt(item, rest))
}
