// Runs one command line from words to exit code. All that it touches is given, so that tests run
// it as a whole.

import { exitCodeOf } from '#shared/errors.ts'
import { parseCall } from './arguments.ts'
import { createClient } from './client.io.ts'
import { type Command, type Context, EXIT_INTERRUPTED, Interrupted } from './command.ts'
import { failureText } from './failure.ts'
import { findController } from './find-controller.io.ts'
import type { Input } from './read-value.ts'
import { createScreen, type Sink } from './screen.ts'

export type World = {
  out: Sink
  err: Sink
  env: NodeJS.ProcessEnv
  input: Input
  folder: string
  now: () => number
  signal: AbortSignal
}

export async function run(
  argv: readonly string[],
  commands: readonly Command[],
  world: World,
): Promise<number> {
  try {
    const { command, words, flags } = parseCall(argv, commands)
    const { out, err, env, input, folder, now, signal } = world
    const screen = createScreen({
      out,
      err,
      env,
      json: flags.has('json'),
      wide: flags.has('wide'),
    })
    const context: Context = {
      words,
      flags,
      screen,
      env,
      input,
      folder,
      now,
      signal,
      async client() {
        const { url, token } = await findController({ flags, env, folder })
        return createClient({ url, token, signal })
      },
    }
    return await command.run(context)
  } catch (error) {
    if (error instanceof Interrupted) {
      if (error.message !== '') world.err.write(`tucano: ${error.message}\n`)
      return EXIT_INTERRUPTED
    }
    world.err.write(`${failureText(error)}\n`)
    return exitCodeOf(error)
  }
}
