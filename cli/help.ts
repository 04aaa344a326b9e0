// The help texts, made from the table of commands.

import { TucanoError } from '#shared/errors.ts'
import { suggest } from '#shared/suggest.ts'
import { globalOptions, usageOf } from './arguments.ts'
import type { Command, OptionSpec } from './command.ts'

const WHERE = `Where the controller is: --controller and --token-file; else the variables
TUCANO_CONTROLLER and TUCANO_TOKEN_FILE (or TUCANO_TOKEN); else the file
.tucano/context.json in this folder or one above it, which tucano up writes;
else ~/.config/tucano/context.json.

Exit: 0 done, 1 failed, 2 wrong usage or configuration, 130 interrupted.`

export function createHelp(commands: () => readonly Command[]): Command {
  return {
    name: 'help',
    summary: 'This overview, or the help for one command',
    words: '[COMMAND]',
    options: [],
    async run({ words: [name], screen }) {
      const text = name === undefined ? overview(commands()) : commandHelp(named(commands(), name))
      screen.line(text)
      return 0
    },
  }
}

export function overview(commands: readonly Command[]): string {
  const rows = commands.map(({ name, words, summary }) => ({
    left: [name, words].filter(Boolean).join(' '),
    right: summary,
  }))
  return `tucano: runs services as plain processes on a handful of servers

Usage: tucano COMMAND [ARGUMENTS] [options]

${columns(rows)}

Options of every command:
${optionLines(globalOptions)}

${WHERE}`
}

export function commandHelp(command: Command): string {
  const own = command.options.length === 0 ? '' : `\n\nOptions:\n${optionLines(command.options)}`
  const details = command.details === undefined ? '' : `\n\n${command.details}`
  const global = globalOptions.map(({ name }) => `--${name}`).join(', ')
  return `${command.summary}\n\nUsage: ${usageOf(command)}${own}${details}

Options of every command: ${global}`
}

function named(commands: readonly Command[], name: string): Command {
  const command = commands.find((one) => one.name === name)
  if (command !== undefined) return command
  const meant = suggest(
    name,
    commands.map((one) => one.name),
  )
  const hint = meant === undefined ? '' : `; did you mean ${meant}?`
  throw new TucanoError('usage', `there is no command ${name}${hint} (see tucano --help)`)
}

function optionLines(options: readonly OptionSpec[]): string {
  return columns(
    options.map(({ name, short, value, summary }) => ({
      left: [short === undefined ? '   ' : `-${short},`, `--${name}`, value]
        .filter(Boolean)
        .join(' '),
      right: summary,
    })),
  )
}

function columns(rows: readonly { left: string; right: string }[]): string {
  const width = Math.max(...rows.map(({ left }) => left.length))
  return rows.map(({ left, right }) => `  ${left.padEnd(width)}  ${right}`).join('\n')
}
