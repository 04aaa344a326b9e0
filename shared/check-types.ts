// What users write of a service's checks. Types only; the schema stands in check-schema.ts.

import type { Duration } from './configuration.ts'

/** Checks of their own, in place of those that `health` describes. */
export type ServiceChecks = { startup?: Check; readiness?: Check; liveness?: Check }

/** One of http, tcp and command says how it is made; numbers that are absent are `health`'s. */
export type Check = {
  http?: HttpCheck
  tcp?: true
  /** Run in the program's folder with its environment; exit code 0 passes. */
  command?: string[]
  interval?: Duration
  timeout?: Duration
  rise?: number
  fall?: number
}

export type HttpCheck = {
  path: string
  /** `204`, `200-299`, or a list of such. */
  status: StatusRule | StatusRule[]
  headers: Record<string, string>
  answer_headers: Record<string, string>
  answer_body?: string | string[]
}

export type StatusRule = number | string
