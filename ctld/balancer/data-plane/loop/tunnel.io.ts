// A connection that speaks another protocol from now on, after the instance's 101: both ends are
// joined, and nothing of what they say is read.

import type { Socket } from 'node:net'
import { joinSockets } from '#ctld/balancer/data-plane/tcp/pipe.io.ts'
import type { Clock } from '#shared/ports.ts'
import type { Account } from './account.ts'
import type { EndedBy, Phase } from './tally.ts'

export type Tunnel = { cut(): void }

/** What the instance's side of a tunnel is, and who wants to hear of its end. */
export type FarEnd = {
  /** The head of the 101, for the client. */
  head: string
  socket: Socket
  /** What came with the 101. */
  first: Buffer
  account: Account
  onEnd(endedBy: EndedBy, phase: Phase): void
}

/** `early`: what the client said before it saw the 101. */
export function openTunnel(
  clock: Clock,
  near: { socket: Socket; early: Buffer | undefined },
  far: FarEnd,
): Tunnel {
  return joinSockets({
    client: near.socket,
    upstream: far.socket,
    ...(near.early === undefined ? {} : { clientHead: near.early }),
    upstreamHead: far.first,
    idleMs: 0,
    clock,
    onEnd({ bytesIn, bytesOut, endedBy, how, error }) {
      const { account } = far
      account.bytesIn = bytesIn
      account.bytesOut = bytesOut
      if (how === 'end') {
        far.onEnd('', '')
        return
      }
      account.error = error ?? how
      far.onEnd(endedBy, 'tunnel')
    },
  })
}
