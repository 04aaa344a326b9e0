// The ports that both daemons are given instead of reaching for the world themselves.
// Real ones: clock.io.ts, ids.io.ts, log.io.ts. The simulator brings its own.

export type Cancel = () => void

export type Clock = {
  /** Monotonic milliseconds since an arbitrary start. All waiting and all liveness uses it. */
  now(): number
  /** Milliseconds since 1970. For people and for what must survive a restart. */
  wall(): number
  /** Calls once after at least `ms` milliseconds, unless cancelled. */
  after(ms: number, call: () => void): Cancel
}

/** Ids that sort by their time of birth (UUIDv7). */
export type Ids = { next(): string }

/** A number in [0, 1). */
export type Dice = { random(): number }

export type LogFields = Record<string, unknown>

export type Log = {
  debug(fields: LogFields, text: string): void
  info(fields: LogFields, text: string): void
  warn(fields: LogFields, text: string): void
  error(fields: LogFields, text: string): void
}

const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

export function isLogLevel(text: string): text is LogLevel {
  return (logLevels as readonly string[]).includes(text)
}
