// Decides which ports the loops may open. They share each port among themselves by SO_REUSEPORT,
// by which they would also share it, unasked, with another balancer of the same user: so each port
// is tried once without it before the loops may have it.

import type { Settings } from '#ctld/balancer/data-plane/loop/loop-table.ts'
import type { Route } from '#ctld/ports.ts'
import type { PortFailure } from './protocol.ts'

/** Resolves with what is in the way, in words; undefined: the port is free. */
export type TryPort = (host: string, port: number) => Promise<string | undefined>

export type PortsHeld = {
  /**
   * Resolves with the ports of this table that another program has. `served`: the main port until
   * now, which the loops keep while the new one cannot be had.
   */
  hold(settings: Settings, routes: readonly Route[], served?: number): Promise<PortFailure[]>
}

/** `inherited`: ports that are open already. */
export function createPortsHeld(tryPort: TryPort, inherited: Iterable<number>): PortsHeld {
  let held = new Set(inherited)
  let heldOn: string | undefined

  async function faultOf(host: string, port: number): Promise<string | undefined> {
    const isHeld = held.has(port)
    if (port === 0 || (isHeld && host === (heldOn ?? host))) return undefined
    const fault = await tryPort(host, port)
    // Its own sockets may be in the way of one on all addresses: then only the address is tried.
    return fault === undefined || !isHeld ? fault : await tryPort(host, 0)
  }

  return {
    async hold({ host, port: main }, routes, served) {
      const wanted = new Set([main, ...routes.flatMap(({ publicPort }) => publicPort ?? [])])
      const failures: PortFailure[] = []
      const next = new Set<number>()
      for (const port of wanted) {
        const error = await faultOf(host, port)
        if (error === undefined) next.add(port)
        else failures.push({ port, error })
      }
      const isMoved = next.has(main)
      // The loops stay where they are, and have there what they had.
      if (!isMoved) for (const port of held) if (wanted.has(port)) next.add(port)
      if (served !== undefined && !isMoved) next.add(served)
      if (isMoved) heldOn = host
      held = next
      return failures
    },
  }
}

/** The table with which no loop opens one of these ports. undefined: the main one is among them. */
export function routesWithout(
  settings: Settings,
  routes: readonly Route[],
  failures: readonly PortFailure[],
): readonly Route[] | undefined {
  if (failures.length === 0) return routes
  const closed = new Set(failures.map(({ port }) => port))
  if (closed.has(settings.port)) return undefined
  return routes.map((route) => {
    if (route.publicPort === undefined || !closed.has(route.publicPort)) return route
    const { publicPort: _, ...without } = route
    return without
  })
}
