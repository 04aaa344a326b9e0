// Decides what becomes of a request at the door: whose it is, or which answer it gets at once.

import { findRoute, type RouteIndex } from '#ctld/balancer/route.ts'
import type { Route } from '#ctld/ports.ts'
import { isRefusal, type ReadHead, type RequestHead, readHead } from './read-head.ts'

export type Admission<R extends Route> =
  | { kind: 'admitted'; read: ReadHead; route: R; strip: string }
  | { kind: 'refused'; status: number; title?: string; detail: string; allow?: string }

export function admit<R extends Route>(
  head: RequestHead,
  index: RouteIndex<R>,
  localPort: number,
): Admission<R> {
  const read = readHead(head)
  if (isRefusal(read)) return { kind: 'refused', ...read }
  const found = findRoute(index, read.host, read.path, localPort)
  if (found === undefined) {
    const detail = 'no service is known by this host or path'
    return { kind: 'refused', status: 404, title: 'service not found', detail }
  }
  const { route, strip } = found
  if (route.targets.length === 0) {
    const detail = `no instance of service ${route.service} is running`
    return { kind: 'refused', status: 503, detail }
  }
  return { kind: 'admitted', read, route, strip }
}
