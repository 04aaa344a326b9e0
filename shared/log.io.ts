// Structured log lines on standard error, by pino. Secrets never get here: they are read by
// reference and kept out of every object that is logged; `redact` is the second line of defence.

import { pino } from 'pino'
import type { Log, LogLevel } from './ports.ts'

export function createLog(name: string, level: LogLevel): Log {
  return pino(
    {
      name,
      level,
      redact: ['token', 'password', '*.token', '*.password', 'headers.authorization'],
      timestamp: pino.stdTimeFunctions.isoTime,
    },
    pino.destination({ dest: 2, sync: true }),
  )
}
