// Reads a command line against the table of commands. Pure: words in, a call out, or one `usage`
// error that says what was meant.

import { parseArgs } from 'node:util'
import { TucanoError } from '#shared/errors.ts'
import { suggest } from '#shared/suggest.ts'
import type { Command, Flags, OptionSpec } from './command.ts'

export const globalOptions: readonly OptionSpec[] = [
  { name: 'controller', short: 'c', value: 'URL', summary: "address of the controller's API" },
  { name: 'token-file', value: 'FILE', summary: 'file with the admin token' },
  { name: 'json', summary: "the API's JSON instead of tables" },
  { name: 'wide', summary: 'nothing shortened' },
  { name: 'help', short: 'h', summary: 'help for the command' },
]

export type Call = { command: Command; words: string[]; flags: Flags }

/** Throws `usage`. `help` and the absence of a command are calls of the command `help`. */
export function parseCall(argv: readonly string[], commands: readonly Command[]): Call {
  const { name, rest } = splitCommand(argv, commands)
  const command = commands.find((one) => one.name === name)
  if (command === undefined) throw unknownCommand(name, commands)
  const { values, positionals } = parseOptions(command, rest)
  if (values.help === true) return helpFor(command, commands)
  checkWords(command, positionals)
  return { command, words: positionals, flags: flagsOf(values) }
}

/** How a command is called: `tucano scale SERVICE COUNT [options]`. */
export function usageOf(command: Command): string {
  return ['tucano', command.name, command.words, '[options]'].filter(Boolean).join(' ')
}

/** Global options may stand before the command, as with other tools. */
function splitCommand(argv: readonly string[], commands: readonly Command[]) {
  const first = argv.findIndex((word, at) => !word.startsWith('-') && !isValue(argv[at - 1]))
  if (first === -1) {
    const wantsVersion = argv.includes('--version') || argv.includes('-V')
    const unknown = argv.find((word) => word.startsWith('-') && !isGlobal(word))
    if (wantsVersion) return { name: 'version', rest: [] }
    if (unknown !== undefined) throw unknownOption(unknown, [], 'tucano --help')
    return { name: 'help', rest: argv.filter((word) => word !== '--help' && word !== '-h') }
  }
  const name = argv[first] ?? ''
  const known = commands.some((command) => command.name === name)
  const before = known ? argv.slice(0, first) : []
  return { name, rest: [...before, ...argv.slice(first + 1)] }
}

function isValue(before: string | undefined): boolean {
  return before !== undefined && valued.has(before)
}

const valued = new Set(['--controller', '-c', '--token-file'])

function isGlobal(word: string): boolean {
  const [name] = word.split('=')
  return globalOptions.some((one) => name === `--${one.name}` || name === `-${one.short}`)
}

function parseOptions(command: Command, rest: readonly string[]) {
  const specs = [...globalOptions, ...command.options]
  const options = Object.fromEntries(
    specs.map(({ name, short, value }) => [
      name,
      {
        type: value === undefined ? ('boolean' as const) : ('string' as const),
        ...(short === undefined ? {} : { short }),
      },
    ]),
  )
  try {
    const args = rest.map((word) => word.replace(/^(?=-\d)/, NUMBER))
    const { values, positionals } = parseArgs({ args, allowPositionals: true, options })
    const texts = Object.entries(values).map(([name, value]) => [
      name,
      typeof value === 'string' ? unmarked(value) : value,
    ])
    return {
      values: Object.fromEntries(texts) as Record<string, string | boolean | undefined>,
      positionals: positionals.map(unmarked),
    }
  } catch (cause) {
    throw optionError(cause, specs, `tucano help ${command.name}`)
  }
}

/** No option is a digit: a negative number is a word, to be refused by whoever reads it. */
const NUMBER = '\0'
const unmarked = (word: string) => word.replace(/^\0/, '')

function optionError(cause: unknown, specs: readonly OptionSpec[], help: string): TucanoError {
  const words = cause instanceof Error ? cause.message : String(cause)
  const unknown = /Unknown option '([^']+)'/.exec(words)?.[1]
  if (unknown !== undefined) return unknownOption(unknown, specs, help)
  const sentence = words.split(/[.\n]/)[0] ?? words
  return new TucanoError('usage', `${sentence}; see ${help}`, { cause })
}

function unknownOption(word: string, specs: readonly OptionSpec[], help: string): TucanoError {
  const names = (specs.length === 0 ? globalOptions : specs).map(({ name }) => name)
  const meant = suggest(word.replace(/^--?/, ''), names)
  const hint = meant === undefined ? '' : `; did you mean --${meant}?`
  return new TucanoError('usage', `there is no option ${word}${hint} (see ${help})`)
}

function unknownCommand(name: string, commands: readonly Command[]): TucanoError {
  const meant = suggest(
    name,
    commands.map((command) => command.name),
  )
  const hint = meant === undefined ? '' : `; did you mean ${meant}?`
  return new TucanoError('usage', `there is no command ${name}${hint} (see tucano --help)`)
}

function helpFor(command: Command, commands: readonly Command[]): Call {
  const help = commands.find(({ name }) => name === 'help')
  if (help === undefined) throw new Error('the table of commands has no help')
  return { command: help, words: [command.name], flags: flagsOf({}) }
}

function checkWords(command: Command, words: readonly string[]): void {
  const expected = command.words.split(' ').filter((word) => word !== '')
  const needed = expected.filter((word) => !word.startsWith('['))
  const missing = needed[words.length]
  if (missing !== undefined) {
    throw new TucanoError('usage', `${missing} is missing; usage: ${usageOf(command)}`)
  }
  const extra = words[expected.length]
  if (extra !== undefined) {
    throw new TucanoError('usage', `unexpected argument ${extra}; usage: ${usageOf(command)}`)
  }
}

function flagsOf(values: Record<string, string | boolean | undefined>): Flags {
  return {
    has: (name) => values[name] !== undefined && values[name] !== false,
    text: (name) => (typeof values[name] === 'string' ? values[name] : undefined),
  }
}
