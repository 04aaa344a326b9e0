// What must hold between the keys of `checks` and `health`, and what a service that says nothing
// of its health is told. The faults are found in unchecked data, to be named with all others.

import type { ServiceConfig } from './configuration.ts'
import { partOf } from './loose.ts'
import type { Fault } from './schema.ts'

const KINDS = ['startup', 'readiness', 'liveness'] as const
const WAYS = ['http', 'tcp', 'command'] as const

export function checkFaults(data: unknown): Fault[] {
  const checks = partOf(data, 'checks')
  const given = KINDS.filter((kind) => isMapping(partOf(checks, kind)))
  const faults = given.flatMap((kind): Fault[] => {
    const ways = WAYS.filter((way) => partOf(partOf(checks, kind), way) !== undefined)
    if (ways.length === 1) return []
    const got = ways.length === 0 ? 'none of them' : ways.join(' and ')
    const what = `expected one of ${WAYS.join(', ')}, got ${got}`
    return [{ path: ['checks', kind], what }]
  })
  const isReplaced = given.length === KINDS.length
  if (isReplaced && partOf(partOf(data, 'health'), 'path') !== undefined) {
    const what = 'asked by no check: startup, readiness and liveness have their own; remove it'
    faults.push({ path: ['health', 'path'], what })
  }
  return faults
}

/** What whoever deploys this should know, though nothing of it is wrong. */
export function hintsOf({ health, checks }: ServiceConfig): string[] {
  const isChecked = health.path !== undefined || KINDS.some((kind) => checks?.[kind] !== undefined)
  if (isChecked) return []
  return [
    'no check is configured: it counts as healthy as soon as its port accepts a connection; ' +
      'add health.path, or checks.readiness',
  ]
}

function isMapping(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
