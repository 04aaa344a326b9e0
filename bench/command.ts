// The arguments that the benchmarks of a cluster share, and what they end with.

import { type ParseArgsConfig, parseArgs } from 'node:util'
import { exitCodeOf, messageOf, TucanoError } from '#shared/errors.ts'

export type BenchOptions = { quick: boolean; json: boolean; seconds: number }

const SECONDS = 10
const SECONDS_QUICK = 2
const SECONDS_MAX = 600

/** Throws a `usage` error. */
export function parseBenchArguments(words: readonly string[]): BenchOptions {
  const { quick, json, seconds } = readOptions(words, {
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    seconds: { type: 'string' },
  })
  const wanted = seconds === undefined ? (quick ? SECONDS_QUICK : SECONDS) : Number(seconds)
  if (!(wanted > 0 && wanted <= SECONDS_MAX)) {
    throw new TucanoError('usage', `--seconds is not above 0, at most ${SECONDS_MAX}: ${seconds}`)
  }
  return { quick, json, seconds: wanted }
}

/** Prints what `measure` found, as a text or as one JSON object, and sets the exit code. */
export async function runBench<T>(bench: {
  usage: string
  measure: (options: BenchOptions) => Promise<T>
  textOf: (found: T) => string
}): Promise<void> {
  try {
    const options = parseBenchArguments(process.argv.slice(2))
    const found = await bench.measure(options)
    console.log(options.json ? JSON.stringify(found, null, 2) : bench.textOf(found))
  } catch (error) {
    const isUsage = error instanceof TucanoError && error.code === 'usage'
    console.error(isUsage ? `${messageOf(error)}\n\n${bench.usage}` : error)
    process.exitCode = exitCodeOf(error)
  }
}

/** Throws a `usage` error for an option that is unknown or lacks its value. */
export function readOptions<const T extends NonNullable<ParseArgsConfig['options']>>(
  words: readonly string[],
  options: T,
) {
  try {
    return parseArgs({ args: [...words], options }).values
  } catch (cause) {
    throw new TucanoError('usage', messageOf(cause), { cause })
  }
}
