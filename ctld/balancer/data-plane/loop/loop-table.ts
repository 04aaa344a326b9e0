// What a loop is given and what it tells: the supervisor and the loops of the data plane speak
// with each other in these words. All of it is plain data that crosses from thread to thread.

import type { Observation, Route } from '#ctld/ports.ts'

export type Settings = {
  host: string
  /** The main port; 0: any that is free, for tests. */
  port: number
  /** Number of loops. 0: one for each core; a loop is given the number that it comes to. */
  threads: number
  /** Addresses and networks (`10.0.0.0/8`) whose X-Forwarded-* are believed. */
  trustedProxies: readonly string[]
  /** Path of the file; null: no access log. */
  accessLog: string | null
  /** Over all loops; each loop takes its share. */
  connectionsMax: number
  /** 0: no limit. */
  connectionsPerIp: number
}

/** All that a loop serves by. It replaces the former one in one step, between two requests. */
export type LoopTable = {
  version: number
  settings: Settings
  routes: readonly Route[]
  /** Where each instance's requests in flight are counted, in SharedCounts. */
  slots: Readonly<Record<string, number>>
  /** Listening sockets of the program that was before: taken over instead of opened. */
  inherited?: readonly ListeningPort[]
}

export type ListeningPort = { port: number; fd: number }

/** `emptied`: an instance that is not in the loop's table any more has no request in this loop. */
export type LoopNews = Observation | { kind: 'emptied'; instance: string }
