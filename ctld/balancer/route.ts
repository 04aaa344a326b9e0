// Decides which service a request belongs to (M37, Q09). The index is built once per table, so
// that a request costs a few look-ups, whatever the number of services.

import type { Route } from '#ctld/ports.ts'

/** What a request carries: `host` is the Host header as it came, `path` without its query. */
export type RouteIndex<R extends Route = Route> = {
  byPort: ReadonlyMap<number, R>
  byHost: ReadonlyMap<string, R>
  /** By prefix without the slash at its end. */
  byPrefix: ReadonlyMap<string, Found<R>>
  /** Of the deepest prefix. */
  segmentsMax: number
}

/** `strip` is taken from the path before the request goes on; '' leaves the path alone. */
export type Found<R extends Route = Route> = { route: R; strip: string }

export function indexRoutes<R extends Route>(routes: readonly R[]): RouteIndex<R> {
  const byPort = new Map<number, R>()
  const byHost = new Map<string, R>()
  const byPrefix = new Map<string, Found<R>>()
  for (const route of routes) {
    if (route.publicPort !== undefined) byPort.set(route.publicPort, route)
    for (const host of route.hosts) byHost.set(host, route)
    for (const path of route.paths) {
      const prefix = path.replace(/\/+$/, '')
      // `/svc/<name>/` is the balancer's own invention, which the program knows nothing of;
      // the configured path is the user's, whose program expects it.
      const strip = prefix === `/svc/${route.service}` ? prefix : ''
      byPrefix.set(prefix, { route, strip })
    }
  }
  const depths = [...byPrefix.keys()].map((prefix) => prefix.split('/').length - 1)
  return { byPort, byHost, byPrefix, segmentsMax: Math.max(0, ...depths) }
}

/**
 * A dedicated port leads to its service whatever the request says. Elsewhere the Host header
 * decides (port stripped, any case), then the longest path prefix, in whole segments.
 */
export function findRoute<R extends Route>(
  index: RouteIndex<R>,
  host: string | undefined,
  path: string,
  localPort: number,
): Found<R> | undefined {
  const dedicated = index.byPort.get(localPort)
  if (dedicated !== undefined) return { route: dedicated, strip: '' }
  // Most clients write a host as it is written here.
  const named =
    host === undefined ? undefined : (index.byHost.get(host) ?? index.byHost.get(hostName(host)))
  if (named !== undefined) return { route: named, strip: '' }
  return longestPrefix(index, path)
}

/** `Shop.Example:8080` → `shop.example`; `[::1]:80` → `[::1]`. The root's dot is dropped. */
export function hostName(host: string): string {
  const portAt = host.lastIndexOf(':')
  const bare = portAt > host.lastIndexOf(']') ? host.slice(0, portAt) : host
  const name = bare.toLowerCase()
  return name.endsWith('.') ? name.slice(0, -1) : name
}

function longestPrefix<R extends Route>(
  { byPrefix, segmentsMax }: RouteIndex<R>,
  path: string,
): Found<R> | undefined {
  let found = byPrefix.get('')
  let end = 0
  for (let segment = 0; segment < segmentsMax && end !== -1; segment += 1) {
    end = path.indexOf('/', end + 1)
    found = byPrefix.get(end === -1 ? path : path.slice(0, end)) ?? found
  }
  return found
}
