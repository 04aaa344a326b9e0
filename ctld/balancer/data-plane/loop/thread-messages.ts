// What the supervisor and the thread of a loop post to each other. Both are of one program and one
// version: nothing is checked.

import type { DataPlaneCounters } from '#ctld/balancer/data-plane/counters.ts'
import type { ListeningPort, LoopNews, LoopTable } from './loop-table.ts'

export type ToLoop =
  | { kind: 'table'; table: LoopTable }
  | { kind: 'drain'; graceMs: number }
  | { kind: 'ask'; what: LoopQuestion; id: number }

/** Whoever answers still turns. */
export type LoopQuestion = 'counters' | 'listening'

export type FromLoop =
  /** The ports of the table are open or have failed, as the news before it say. */
  | { kind: 'updated'; version: number }
  /** `version`: of the table that the loop had last when it said so. */
  | { kind: 'news'; news: LoopNews; version: number }
  | { kind: 'drained' }
  | { kind: 'counters'; id: number; answer: DataPlaneCounters }
  | { kind: 'listening'; id: number; answer: ListeningPort[] }

/** What a thread is born with. */
export type LoopBirth = {
  index: number
  counts: SharedArrayBuffer
  /** Name of the channel on which loops tell each other of slots that have room again. */
  channel: string
  logLevel: string
}
