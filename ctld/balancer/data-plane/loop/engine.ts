// What all connections and exchanges of one loop share.

import type { RequestHead } from '#ctld/balancer/data-plane/http1/request-head.ts'
import type { ResponseHead } from '#ctld/balancer/data-plane/http1/response-head.ts'
import type { RouteIndex } from '#ctld/balancer/route.ts'
import type { Route } from '#ctld/ports.ts'
import type { Clock } from '#shared/ports.ts'
import type { Bulk } from './bulk.ts'
import type { ClientConnection } from './client-connection.io.ts'
import type { Deadlines } from './deadlines.ts'
import type { Dispatcher } from './dispatcher.io.ts'
import type { Journal } from './journal.ts'
import type { Scratch } from './outlet.io.ts'
import type { Registry } from './registry.ts'

export type Engine = {
  clock: Clock
  newRequestId: () => string
  deadlines: Deadlines
  registry: Registry
  dispatcher: Dispatcher
  journal: Journal
  index: RouteIndex<Route>
  /** Heads are read and used up within one call, so one of each serves all connections. */
  requestHead: RequestHead
  responseHead: ResponseHead
  bulk: Bulk
  scratch: Scratch
  /** All connections to instances read into it. Who keeps octets copies them. */
  readBuffer: Buffer
  /** No new connections, and each answer is the last one of its connection. */
  isDraining: boolean
  clients: Set<ClientConnection>
}
