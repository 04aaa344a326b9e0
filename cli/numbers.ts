// Numbers on the command line.

import { TucanoError } from '#shared/errors.ts'

/** A whole number of at most six digits; `what` names it in the refusal. Throws `usage`. */
export function countOf(text: string, what: string): number {
  if (/^\d{1,6}$/.test(text)) return Number(text)
  throw new TucanoError('usage', `${what} is a whole number, not ${text}`)
}
