// What a command is, and what it is given when it runs. The table of all of them stands in
// commands.ts; help, usage errors and parsing are made from it.

import type { Client } from './client.ts'
import type { Input } from './read-value.ts'
import type { Screen } from './screen.ts'

export type OptionSpec = {
  name: string
  short?: string
  /** What stands for its value in the help; absent: a switch without a value. */
  value?: string
  summary: string
}

export type Command = {
  name: string
  summary: string
  /** Its words, as the usage line shows them: `SERVICE COUNT`, `[FOLDER]`. */
  words: string
  options: readonly OptionSpec[]
  /** Paragraphs after the options. */
  details?: string
  /** Gives the exit code; throws TucanoError for what is told to the user. */
  run(context: Context): Promise<number>
}

export type Flags = {
  has(name: string): boolean
  text(name: string): string | undefined
}

export type Context = {
  words: readonly string[]
  flags: Flags
  screen: Screen
  env: NodeJS.ProcessEnv
  /** Standard input. */
  input: Input
  /** The folder that relative paths start at. */
  folder: string
  /** Wall clock, milliseconds since 1970. */
  now: () => number
  /** Aborted by SIGINT or SIGTERM. */
  signal: AbortSignal
  /** The controller's API; throws `usage` when nothing says where it is. */
  client(): Promise<Client>
}

/** The user ended the command; `message` says what goes on without it. */
export class Interrupted extends Error {
  constructor(message = '') {
    super(message)
    this.name = 'Interrupted'
  }
}

export const EXIT_INTERRUPTED = 130
