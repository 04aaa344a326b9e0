// One loop of the data plane alone, in the main thread: what a request costs, without supervisor
// and controller around it. Compared with the others' one thread.

import { createLoop } from '#ctld/balancer/data-plane/loop/loop.io.ts'
import { createCountsBuffer, SharedCounts } from '#ctld/balancer/data-plane/loop/shared-counts.ts'
import type { Route } from '#ctld/ports.ts'
import { machineClock } from '#shared/clock.io.ts'
import { machineDice } from '#shared/ids.io.ts'
import { createLog } from '#shared/log.io.ts'
import { HOST } from './load/messages.ts'
import { proxyArguments } from './proxy-arguments.ts'

const CONNECTIONS_MAX = 50_000
const SECOND = 1_000

const { port, origins, accessLog } = proxyArguments()
let requests = 0

const loop = createLoop({
  index: 0,
  shared: new SharedCounts({
    buffer: createCountsBuffer(1),
    column: 0,
    bell: { ring() {}, onRing() {} },
  }),
  clock: machineClock,
  dice: machineDice,
  log: createLog('our-proxy', 'warn'),
  newRequestId: () => `bench-${(requests++).toString(36)}`,
  tell: (news) => console.error(JSON.stringify(news)),
})

const route: Route = {
  service: 'bench',
  protocol: 'http',
  hosts: ['bench', HOST],
  paths: ['/svc/bench/'],
  proxyProtocol: 'none',
  balance: 'round_robin',
  slowStartMs: 0,
  inFlightMax: 0,
  queueMax: 1_000,
  queueMs: 5 * SECOND,
  holdMs: 5 * SECOND,
  traffic: 'open',
  pauseMs: 30 * SECOND,
  connectMs: 2 * SECOND,
  responseMs: 60 * SECOND,
  idleMs: 60 * SECOND,
  bodyMax: 2 ** 30,
  pipelining: true,
  targets: origins.map((origin, index) => ({
    instance: `i${index}`,
    node: 'w1',
    host: '127.0.0.1',
    port: origin,
    weight: 10,
  })),
}

await loop.update({
  version: 1,
  settings: {
    host: '127.0.0.1',
    port,
    threads: 1,
    trustedProxies: [],
    accessLog,
    connectionsMax: CONNECTIONS_MAX,
    connectionsPerIp: 0,
  },
  routes: [route],
  slots: Object.fromEntries(route.targets.map(({ instance }, slot) => [instance, slot])),
})

process.on('SIGTERM', async () => {
  await loop.drain(SECOND)
  loop.close()
  process.exit()
})
