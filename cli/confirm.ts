// Asks the person at the terminal; where there is none, nobody is asked and nothing is assumed.

import type { Context } from './command.ts'
import { Interrupted } from './command.ts'

/** undefined: nobody is there to be asked. Anything but y or yes is a no. */
export async function confirm(
  { input, screen, signal }: Pick<Context, 'input' | 'screen' | 'signal'>,
  question: string,
): Promise<boolean | undefined> {
  if (input.isTTY !== true) return undefined
  screen.note(`${question} [y/N]`)
  const stop = () => input.destroy(new Interrupted())
  signal.addEventListener('abort', stop, { once: true })
  try {
    let said = ''
    for await (const chunk of input) {
      said += String(chunk)
      if (said.includes('\n')) break
    }
    return /^\s*y(es)?\s*$/i.test(said.split('\n')[0] ?? '')
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
