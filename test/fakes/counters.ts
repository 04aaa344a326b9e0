// What a data plane counts, made of data: nothing at first, and one service that was busy.

import {
  type DataPlaneCounters,
  newHistogram,
  newInstanceCounters,
  newServiceCounters,
  record,
} from '#ctld/balancer/data-plane/counters.ts'

export function noCounters(over: Partial<DataPlaneCounters> = {}): DataPlaneCounters {
  return {
    startedAt: 1_000,
    tableVersion: 0,
    loops: 1,
    connections: { accepted: 0, open: 0, refused: 0 },
    rejected: {},
    services: {},
    ...over,
  }
}

/** 100 requests to `api`: 95 in 0.8 ms, 5 in 40 ms, six of them no success. */
export function busyCounters(): DataPlaneCounters {
  const api = newServiceCounters()
  for (let count = 0; count < 100; count += 1) {
    record(api.total, count < 95 ? 800 : 40_000)
    record(api.firstByte, count < 95 ? 700 : 30_000)
  }
  record(api.queue, 2_000)
  const inTable = { ...newInstanceCounters(), inTable: 2 }
  const first = { ...inTable, requests: 60, inFlight: 1, connectAttempts: 9 }
  first.connect = newHistogram()
  record(first.connect, 300)
  const more = { connectErrors: 2, reuses: 51, reuseDeaths: 1, responseErrors: 3, ejections: 1 }
  Object.assign(first, more, { idleConnections: 4, openConnections: 5 })
  Object.assign(api, {
    requests: 100,
    statuses: { 200: 94, 404: 1, 502: 2, 503: 1, 0: 2 },
    endings: { 'client body': 2, 'instance head': 2, 'balancer queue': 1 },
    retries: 4,
    retriesDenied: 1,
    queued: 1,
    waiting: 3,
    inFlight: 2,
    bytesIn: 1_000,
    bytesOut: 20_000,
    instances: { 'i-1': first, 'i-9': { ...inTable, requests: 40, failed: 7 } },
  })
  return noCounters({
    tableVersion: 12,
    loops: 2,
    connections: { accepted: 30, open: 7, refused: 1 },
    rejected: { 400: 3, 404: 5 },
    services: { api },
  })
}
