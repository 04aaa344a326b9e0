// Hands a connection that came in on a TCP service's port to a session, and gives the session what
// it asks of the loop: an instance, a place in the queue, a note in the books.

import type { Socket } from 'node:net'
import { serveTcp } from '#ctld/balancer/data-plane/tcp/tcp-session.io.ts'
import type { Engine } from './engine.ts'
import { peerOf } from './to-instance.ts'
import type { Lane, Upstream } from './upstream.ts'

/** `onLeft` is called once, when the session is over. */
export function acceptTcp(
  engine: Engine,
  socket: Socket,
  lane: Lane,
  onLeft: () => void,
): { cut(): void } {
  const { clock, registry, journal } = engine
  const client = peerOf(socket.remoteAddress ?? '', () => false).address
  const key = lane.route.hash === undefined ? undefined : client

  /** Woken in its turn, it loses its place to nobody if it has to wait on. */
  let standsInFront = false

  function wait(wake: () => void): (() => void) | undefined {
    const { waiting, route } = lane
    // The session keeps the time itself; the queue only needs an order.
    const deadline = clock.now() + Math.max(route.queueMs, route.holdMs, route.pauseMs)
    const waiter = {
      dispatch(isFirst: boolean) {
        standsInFront = isFirst
        wake()
        standsInFront = false
      },
    }
    const ticket = standsInFront
      ? waiting.putBack(waiter, deadline)
      : waiting.push(waiter, deadline)
    if (ticket === undefined) return undefined
    if (lane.upstreams.length > 0) registry.listenForRoom(lane)
    return () => void waiting.remove(ticket)
  }

  return serveTcp<Upstream>(socket, {
    clock,
    route: () => (lane.isGone ? undefined : lane.route),
    claim: (tried) => registry.claim(lane, { key, token: undefined, tried }),
    release: registry.release,
    succeeded: registry.succeeded,
    unreachable: registry.unreachable,
    wait,
    done(ending) {
      journal.endedTcp(lane, client, ending)
      onLeft()
    },
  })
}
