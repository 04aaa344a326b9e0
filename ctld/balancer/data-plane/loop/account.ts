// What is noted of one request on its way, and told when it is over: times, tries, how it ended.

import type { Asked } from './ask.ts'
import type { EndedBy, Phase } from './tally.ts'
import type { Lane } from './upstream.ts'

export class Account {
  readonly lane: Lane
  readonly asked: Asked
  /** By the monotonic clock, like all times here. */
  readonly startedAt: number
  /** Milliseconds; -1: it did not come that far. */
  queueMs = -1
  connectMs = -1
  firstByteMs = -1
  totalMs = -1
  retries = 0
  /** Did it go on a connection that had served before? */
  wasReused = false
  /** 0: no answer reached the client. */
  status = 0
  /** '': it went well. */
  endedBy: EndedBy = ''
  phase: Phase = ''
  error = ''
  bytesIn = 0
  bytesOut = 0
  /** The last that was chosen; '': none. */
  instance = ''

  constructor(lane: Lane, asked: Asked, startedAt: number) {
    this.lane = lane
    this.asked = asked
    this.startedAt = startedAt
  }

  close(endedBy: EndedBy, phase: Phase, now: number): void {
    this.endedBy = endedBy
    this.phase = phase
    this.totalMs = now - this.startedAt
  }
}
