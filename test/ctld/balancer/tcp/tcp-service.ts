// A TCP service behind a door, with a registry of instances that is as simple as can be.

import type { Socket } from 'node:net'
import {
  serveTcp,
  type TcpEnding,
  type TcpPorts,
} from '#ctld/balancer/data-plane/tcp/tcp-session.io.ts'
import type { Route } from '#ctld/ports.ts'
import { machineClock } from '#shared/clock.io.ts'
import type { Clock } from '#shared/ports.ts'
import { route as routeTo, target } from '#test/ctld/balancer/rig.ts'
import { door } from './tcp-rig.ts'

type Upstream = { instance: string; target: { host: string; port: number }; inFlight: number }

export type Service = Awaited<ReturnType<typeof service>>

/** A service at a door: chooses the first instance that is not tried and not full. */
export async function service(
  ports: number[],
  more: Partial<Route> & { clock?: Clock; waitersMax?: number } = {},
) {
  const { clock = machineClock, waitersMax = 10, ...rest } = more
  let route: Route | undefined
  let upstreams: Upstream[] = []
  const waiting = new Set<() => void>()
  const notices: string[] = []
  const endings: TcpEnding[] = []
  const endingsWanted: ((ending: TcpEnding) => void)[] = []
  const sessions: { cut(): void; socket: Socket }[] = []
  const arrived = Promise.withResolvers<void>()
  const wakeAll = () => {
    for (const wake of [...waiting]) {
      waiting.delete(wake)
      wake()
    }
  }
  const publish = (ports: number[], change: Partial<Route> = {}) => {
    const targets = ports.map((port, index) => target(`i${index}`, port))
    route = routeTo(targets, { service: 'db', protocol: 'tcp', holdMs: 5_000, ...rest, ...change })
    upstreams = targets.map((one) => ({ instance: one.instance, target: one, inFlight: 0 }))
    wakeAll()
  }
  publish(ports)

  const seam: TcpPorts<Upstream> = {
    clock,
    route: () => route,
    claim(tried) {
      const isFree = (one: Upstream) =>
        !tried.has(one) && (route?.inFlightMax === 0 || one.inFlight < (route?.inFlightMax ?? 0))
      const chosen = upstreams.find(isFree)
      if (chosen !== undefined) chosen.inFlight += 1
      return chosen
    },
    release(upstream) {
      upstream.inFlight -= 1
      wakeAll()
    },
    succeeded: ({ instance }) => notices.push(`succeeded ${instance}`),
    unreachable: ({ instance }, error) => notices.push(`unreachable ${instance}: ${error}`),
    wait(wake) {
      if (waiting.size >= waitersMax) return undefined
      waiting.add(wake)
      return () => waiting.delete(wake)
    },
    done(ending) {
      const wanted = endingsWanted.shift()
      if (wanted === undefined) endings.push(ending)
      else wanted(ending)
    },
  }
  const port = await door(
    (socket) => {
      sessions.push({ ...serveTcp(socket, seam), socket })
      arrived.resolve()
    },
    { pauseOnConnect: true },
  )
  return {
    port,
    publish,
    notices,
    sessions,
    arrived: arrived.promise,
    waiting,
    withdraw() {
      route = undefined
      wakeAll()
    },
    inFlight: () => upstreams.reduce((sum, { inFlight }) => sum + inFlight, 0),
    ending(): Promise<TcpEnding> {
      const ending = endings.shift()
      if (ending !== undefined) return Promise.resolve(ending)
      return new Promise((tell) => endingsWanted.push(tell))
    },
  }
}
