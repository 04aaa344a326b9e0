// The table of the API's routes with a real request for each, for the tests that walk it.

import { apiRoutes } from '#ctld/api/api.io.ts'
import { createChanges } from '#ctld/api/changes.ts'
import type { Route } from '#shared/http-route.ts'
import { busyCounters } from '#test/fakes/counters.ts'
import { aConfig, aReport, createFakeCtld, DIGEST } from '#test/fakes/ctld.ts'
import { createFakeImageStore } from '#test/fakes/image-store.ts'
import { createManualClock } from './manual-clock.ts'

export function tableOfRoutes(): Route[] {
  const ctld = createFakeCtld()
  const clock = createManualClock()
  return apiRoutes({
    ctld,
    images: createFakeImageStore(),
    changes: createChanges(ctld, clock),
    clock,
    log: { debug() {}, info() {}, warn() {}, error() {} },
    version: '0.1.0',
    counters: async () => busyCounters(),
    inForce: async () => true,
    isStarted: () => true,
  })
}

export const titleOf = ({ method, path }: Route): string => `${method} ${path}`

/** A path that the fake controller knows. */
export function urlOf({ path }: Route): string {
  const id = path.includes('deployments') ? 'd-1' : 'i-1'
  return path
    .replace(':name', path.includes('/services/') ? 'api' : 'w1')
    .replace(':id', id)
    .replace(':digest', DIGEST)
    .replace(':version', '1')
    .replace('*', 'v1/instances')
}

/** A body that the route accepts, or undefined where it takes none. */
export function bodyFor(route: Route): unknown {
  const bodies: Record<string, unknown> = {
    'POST /v1/services': { config: aConfig() },
    'POST /v1/plan': { config: aConfig() },
    'POST /v1/simulate': { kill: ['w1'], add: [{ name: 'w9', labels: { zone: 'a' } }] },
    'POST /v1/services/:name/scale': { concurrency: 3 },
    'POST /v1/services/:name/rollback': { revision: 1 },
    'POST /v1/services/:name/pause': { for: '20s' },
    'POST /v1/services/:name/maintenance': { page: '<p>Back soon</p>' },
    'POST /v1/nodes/:name/drain': { deadline: '5m', force: true },
    'POST /v1/rebalance': { instances: ['i-1'] },
    'POST /v1/agents/:name/report': aReport(),
    'POST /v1/images': Buffer.from('packed'),
    'PUT /v1/secrets/:name': { value: 'one' },
    'PUT /v1/config': { version: 2, text: 'topology: []' },
  }
  return bodies[titleOf(route)]
}

export function headersFor(route: Route): Record<string, string> {
  return route.bodyKind === 'archive' ? { 'content-type': 'application/gzip' } : {}
}
