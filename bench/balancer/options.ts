// The arguments of the command.

import { readOptions } from '#bench/command.ts'
import { TucanoError } from '#shared/errors.ts'
import { type Case, cases, QUICK, type Times, WHOLE } from './cases.ts'
import { type ProxyName, proxyNames } from './proxies.ts'

export const USAGE = `node bench/balancer/main.ts [options]
  --quick          at most 60 s
  --json           one JSON object
  --only A,B       of ${cases.map(({ name }) => name).join(', ')}
  --proxies A,B    of ${proxyNames.join(', ')}
  --rounds N       default ${WHOLE.rounds}
  --seconds N      for each case, proxy and round; default ${WHOLE.ms / 1_000}
  --node-flags=F   for ours, in place of those in bin/tucano_balancer; separated by spaces
A whole run, with no option but --json and --rounds, writes its table and picture into docs/.`

const WHOLE_MAY_HAVE: ReadonlySet<string> = new Set(['json', 'rounds'])

const ROUNDS_MAX = 100
const SECONDS_MAX = 600

export type Options = {
  json: boolean
  quick: boolean
  cases: readonly Case[]
  proxies: readonly ProxyName[]
  times: Times
  /** undefined: those in bin/. */
  nodeFlags: readonly string[] | undefined
  /** All cases and all proxies in full length: what docs/ may say. */
  isWhole: boolean
}

/** Throws a `usage` error. */
export function parseOptions(words: readonly string[]): Options {
  const values = readWords(words)
  const { quick, json, only, proxies } = values
  const base = quick ? QUICK : WHOLE
  const rounds = numberOf('--rounds', values.rounds, ROUNDS_MAX)
  const seconds = numberOf('--seconds', values.seconds, SECONDS_MAX)
  return {
    json,
    quick,
    cases: chosen(cases, (each) => each.name, '--only', only),
    proxies: chosen(proxyNames, (name) => name, '--proxies', proxies),
    times: {
      ...base,
      rounds: rounds ?? base.rounds,
      roundsWithoutAim: rounds ?? base.roundsWithoutAim,
      ms: seconds === undefined ? base.ms : seconds * 1_000,
    },
    nodeFlags: values['node-flags']?.split(' ').filter((flag) => flag !== ''),
    isWhole: Object.entries(values).every(([key, value]) => !value || WHOLE_MAY_HAVE.has(key)),
  }
}

function chosen<T>(
  all: readonly T[],
  nameOf: (one: T) => string,
  option: string,
  text: string | undefined,
): T[] {
  if (text === undefined) return [...all]
  const names = text.split(',')
  const unknown = names.find((name) => !all.some((one) => nameOf(one) === name))
  if (unknown !== undefined) {
    const known = all.map(nameOf).join(', ')
    throw new TucanoError('usage', `${option} ${unknown} is unknown; there are ${known}`)
  }
  return all.filter((one) => names.includes(nameOf(one)))
}

function numberOf(option: string, text: string | undefined, max: number): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (value > 0 && value <= max && (option !== '--rounds' || Number.isInteger(value))) return value
  throw new TucanoError('usage', `${option} is not above 0 and at most ${max}: ${text}`)
}

function readWords(words: readonly string[]) {
  return readOptions(words, {
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    only: { type: 'string' },
    proxies: { type: 'string' },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    'node-flags': { type: 'string' },
  })
}
