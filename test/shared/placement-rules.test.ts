// What a service's configuration may say of where it runs, and what no node could be.

import { describe, expect, test } from 'vitest'
import type { ServiceConfig } from '#shared/configuration.ts'
import { completeServiceConfig, parseServiceConfig } from '#shared/service-config.ts'
import { complaints } from '#test/helpers/configurations.ts'

const service = ['name: api', 'concurrency: 2', 'port: 8080', 'image: { path: ., run: [node] }']

function parse(...lines: string[]): ServiceConfig {
  return parseServiceConfig([...service, ...lines].join('\n'), 'service.yaml')
}

const refusal = (...lines: string[]) => complaints(() => parse(...lines))

describe('spread', () => {
  test('needs its label, and means nothing without placement: spread', () => {
    expect(parse('placement: spread', 'spread: { label: zone }').spread).toEqual({ label: 'zone' })
    expect(refusal('placement: spread')).toBe(
      'service.yaml:1:1 spread: missing; placement: spread needs a label, like spread: {label: zone}',
    )
    expect(refusal('spread: { label: zone }')).toBe(
      'service.yaml:5:1 spread: means nothing without placement: spread; add that',
    )
  })
})

describe('conditions that no node can meet together', () => {
  test.each([
    ['[{ label: zone, in: [a] }, { label: zone, in: [b] }]', '5:41 constraints[1]'],
    ['[{ label: zone, in: [a] }, { label: zone, not_in: [a] }]', '5:41 constraints[1]'],
    ['[{ label: zone, not_in: [a] }, { label: zone, in: [a] }]', '5:45 constraints[1]'],
    ['[{ label: zone, in: [a, b], not_in: [b, a] }]', '5:15 constraints[0]'],
  ])('%s', (constraints, where) => {
    const said = refusal(`constraints: ${constraints}`)
    expect(said).toContain(`${where}: no node can be so`)
    expect(said.split('\n')).toHaveLength(1)
  })

  test('are named with the one that they contradict', () => {
    const said = refusal('constraints: [{ label: zone, in: [a] }, { label: zone, in: [b] }]')
    expect(said).toContain('constraints[0] says otherwise: no value of zone is left')
  })

  test('are refused as wishes too', () => {
    const lines = [
      'constraints: [{ label: zone, in: [a] }]',
      'affinity: [{ label: zone, in: [b] }]',
    ]
    expect(refusal(...lines)).toContain('service.yaml:6:12 affinity[0]: no node can be so')
  })

  test('the label node alone says nothing', () => {
    expect(refusal('constraints: [{ label: node }]')).toContain('every node has a name')
  })

  test.each([
    '[{ label: zone, in: [a, b] }, { label: zone, in: [b, c] }]',
    '[{ label: zone, in: [a, b] }, { label: zone, not_in: [b] }]',
    '[{ label: zone, not_in: [a] }, { label: disk, in: [a] }, { label: gpu }]',
    '[{ label: node, in: [w1] }]',
  ])('%s is possible', (constraints) => {
    expect(refusalOrNone(`constraints: ${constraints}`)).toBe('')
  })
})

describe('sticky', () => {
  test.each([
    ['true', { node: true }],
    ['{ node: true }', { node: true }],
    ['{ cookie: back }', { cookie: 'back' }],
    ['{ node: true, cookie: back }', { node: true, cookie: 'back' }],
  ])('%s', (text, sticky) => {
    const config = parse(`sticky: ${text}`)
    expect(config.sticky).toEqual(sticky)
    // What the API keeps it takes again.
    expect(completeServiceConfig(config)).toEqual(config)
  })

  test.each(['false', 'node', '{ node: 1 }', '{}', '[]'])('%s is refused', (text) => {
    expect(refusal(`sticky: ${text}`)).toMatch(/^service\.yaml:5:\d+ sticky/)
  })

  test('a tcp service may stay on its node, though it has no cookies', () => {
    expect(parse('protocol: tcp', 'public: false', 'sticky: true').sticky).toEqual({ node: true })
  })
})

function refusalOrNone(line: string): string {
  try {
    parse(line)
    return ''
  } catch (error) {
    return String(error)
  }
}
