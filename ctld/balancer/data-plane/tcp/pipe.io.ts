// Joins two connections so that they are one: bytes both ways, an end passed on as an end and a
// cut as a cut, so that nobody takes half of an answer for the whole. Says once who ended it and
// how, when both are closed.

import type { Socket } from 'node:net'
import type { Cancel, Clock } from '#shared/ports.ts'
import { openWay, reset, unsentOf, type Way } from './way.io.ts'

/** A peer that is gone without a word is found by the kernel's probes. */
const PROBE_IDLE_MS = 30_000
/** Where there is no limit: for how long one side may be silent when the other has ended. */
export const HALF_CLOSED_IDLE_MS = 300_000
/** An idle connection is found between the limit and a quarter more. */
const LOOKS_PER_LIMIT = 4

export type Joint = {
  client: Socket
  upstream: Socket
  /** What was read of either side before, and belongs to the other. */
  clientHead?: Buffer
  upstreamHead?: Buffer
  /** No byte in either direction for so long ends it. 0: no limit. */
  idleMs: number
  clock: Clock
  onEnd: (end: JointEnd) => void
}

export type JointEnd = {
  /** From the client. */
  bytesIn: number
  /** To the client. */
  bytesOut: number
  endedBy: 'client' | 'instance' | 'balancer'
  how: 'end' | 'error' | 'idle' | 'cut'
  /** The code of the error. */
  error?: string
}

type Cause = Pick<JointEnd, 'endedBy' | 'how' | 'error'>

/** Both sockets are the joint's from now on; it closes both. They may be paused. */
export function joinSockets(joint: Joint): { cut(): void } {
  const { client, upstream, clock, onEnd } = joint
  let cause: Cause | undefined
  let open = 2
  let stopWatching: Cancel | undefined

  const endAll = (next: Cause, end: (socket: Socket) => void) => {
    if (open === 0) return
    // An error says more than the end of one side that came before it.
    if (cause === undefined || cause.how === 'end') cause = next
    end(client)
    end(upstream)
  }

  const prepare = (side: Socket, other: Socket, name: 'client' | 'instance') => {
    side.allowHalfOpen = true
    side.setNoDelay(true)
    side.setKeepAlive(true, PROBE_IDLE_MS)
    side.on('error', (error: NodeJS.ErrnoException) => {
      if (cause === undefined || cause.how === 'end') {
        cause = { endedBy: name, how: 'error', error: error.code ?? error.message }
      }
      // What it sent is whole when it has ended: that much the other still gets.
      if (side.readableEnded) other.destroySoon()
      else reset(other)
    })
    const ended = () => {
      cause ??= { endedBy: name, how: 'end' }
      if (joint.idleMs === 0) watch(HALF_CLOSED_IDLE_MS)
    }
    if (side.readableEnded) ended()
    else side.once('end', ended)
    if (side.closed) process.nextTick(closed, side, other)
    else side.once('close', () => closed(side, other))
  }

  const closed = (side: Socket, other: Socket) => {
    open -= 1
    if (!(side.readableEnded && side.writableFinished) && !other.destroyed) {
      // Somebody of this process closed it.
      cause ??= { endedBy: 'balancer', how: 'cut' }
      if (side.readableEnded) other.destroySoon()
      else reset(other)
    }
    if (open > 0) return
    stopWatching?.()
    const { bytes: bytesIn } = inward
    const { bytes: bytesOut } = outward
    onEnd({ bytesIn, bytesOut, ...(cause ?? { endedBy: 'balancer', how: 'cut' }) })
  }

  const watch = (limitMs: number) => {
    stopWatching?.()
    const progress = () =>
      `${inward.moves} ${outward.moves} ${unsentOf(client)} ${unsentOf(upstream)}`
    stopWatching = watchSilence(clock, limitMs, progress, () => {
      endAll({ endedBy: 'balancer', how: 'idle' }, (socket) => socket.destroy())
    })
  }

  const inward = openWithHead(client, upstream, joint.clientHead)
  const outward = openWithHead(upstream, client, joint.upstreamHead)
  prepare(client, upstream, 'client')
  prepare(upstream, client, 'instance')
  if (joint.idleMs > 0) watch(joint.idleMs)
  return {
    cut: () => endAll({ endedBy: 'balancer', how: 'cut' }, reset),
  }
}

function openWithHead(from: Socket, to: Socket, head: Buffer | undefined): Way {
  if (head !== undefined && head.length > 0) to.write(head)
  const way = openWay(from, to)
  way.bytes += head?.length ?? 0
  return way
}

/** Calls once when `progress` has said the same for the limit, or up to a quarter more. */
function watchSilence(
  clock: Clock,
  limitMs: number,
  progress: () => string,
  onSilent: () => void,
): Cancel {
  let last = progress()
  let silentLooks = 0
  const look = () => {
    const now = progress()
    silentLooks = now === last ? silentLooks + 1 : 0
    last = now
    if (silentLooks >= LOOKS_PER_LIMIT) onSilent()
    else cancel = clock.after(limitMs / LOOKS_PER_LIMIT, look)
  }
  let cancel = clock.after(limitMs / LOOKS_PER_LIMIT, look)
  return () => cancel()
}
