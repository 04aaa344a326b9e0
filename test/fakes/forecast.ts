// What the fake controller foresees, unless a test says otherwise.

import type { Forecast } from '#ctld/forecast.ts'

export const aForecast = (over: Partial<Forecast> = {}): Forecast => ({
  actions: [
    {
      afterMs: 0,
      kind: 'place',
      service: 'api',
      instance: 'new-000001',
      node: 'w1',
      why: 'concurrency 2',
    },
    {
      afterMs: 6_000,
      kind: 'terminate',
      service: 'api',
      instance: 'i-1',
      node: 'w1',
      why: 'replaced by a new revision',
    },
  ],
  pending: [{ service: 'api', count: 1, why: 'w2: is dead' }],
  lastsMs: 7_100,
  cutBy: null,
  frozen: false,
  services: [{ service: 'api', wanted: 2, before: { w1: 1 }, after: { w1: 1 }, serving: 1 }],
  ...over,
})
