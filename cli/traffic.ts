// Says of services what becomes of their requests, where that is not the ordinary: under tables,
// in a row of show. Pure.

import { durationText } from '#shared/duration.ts'
import type { ServiceSummary } from './answers.ts'
import { since } from './words.ts'

type Told = Pick<ServiceSummary, 'name' | 'traffic'>

/** One line for each service that is not open: `api: paused, open again in 12 s`. */
export function trafficLines(services: readonly Told[], now: number): string[] {
  return services.flatMap(({ name, traffic }) => {
    if (traffic.state === 'open') return []
    return [`${name}: ${trafficText(traffic, now)}; to end it: tucano resume ${name}`]
  })
}

export function trafficText(traffic: ServiceSummary['traffic'], now: number): string {
  switch (traffic.state) {
    case 'open':
      return 'open'
    case 'paused':
      return `paused, open again in ${durationText(Math.max(0, traffic.until - now))}`
    case 'maintenance':
      return `in maintenance for ${since(traffic.since, now)}`
    default:
      // A newer controller may know more than this program.
      return String((traffic satisfies never as { state: string }).state)
  }
}
