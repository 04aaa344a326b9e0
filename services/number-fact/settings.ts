// The limits of the service, and the environment variables that move them.

import { availableParallelism } from 'node:os'

export type Settings = { timeoutMs: number; threadCount: number; queueMax: number }

const THREADS_MAX = 64

/** Throws an error that names the variable, the value and what is allowed. */
export function readSettings(env: NodeJS.ProcessEnv): Settings {
  return {
    timeoutMs: readInteger(env, 'NUMBER_FACT_TIMEOUT_MS', 200_000, { from: 1, to: 3_600_000 }),
    threadCount: readInteger(env, 'NUMBER_FACT_THREADS', availableParallelism(), {
      from: 1,
      to: THREADS_MAX,
    }),
    queueMax: readInteger(env, 'NUMBER_FACT_QUEUE_MAX', 256, { from: 0, to: 100_000 }),
  }
}

function readInteger(
  env: NodeJS.ProcessEnv,
  name: string,
  otherwise: number,
  { from, to }: { from: number; to: number },
): number {
  const text = env[name]
  if (text === undefined) return Math.min(otherwise, to)
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
  if (value >= from && value <= to) return value
  throw new Error(`${name} is not a whole number from ${from} to ${to}: ${text}`)
}
