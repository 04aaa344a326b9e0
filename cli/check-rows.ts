// How a service is checked, as rows of `show`.

import type { Check } from '#shared/check-types.ts'
import type { ServiceConfig } from '#shared/configuration.ts'
import { plain } from './table.ts'

type Row = [string, string]

export function checkRows({ health, checks = {} }: ServiceConfig): Row[] {
  const own = (['startup', 'readiness', 'liveness'] as const).flatMap((kind): Row[] => {
    const check = checks[kind]
    if (check === undefined) return []
    return [[kind, `${wayText(check)} every ${check.interval ?? health.interval}`]]
  })
  if (own.length > 0 && health.path === undefined) return own
  const others = own.length > 0 ? ', for the others' : ''
  return [...own, ['health', `${health.path ?? 'TCP connect'} every ${health.interval}${others}`]]
}

function wayText({ http, command }: Check): string {
  if (http !== undefined) return `GET ${http.path}`
  return command === undefined ? 'TCP connect' : plain(command.join(' '))
}
