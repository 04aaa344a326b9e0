// Numbers on the command line.

import { TucanoError } from '#shared/errors.ts'

/** A whole number of at most six digits; `what` names it in the refusal. Throws `usage`. */
export function countOf(text: string, what: string, max?: number): number {
  if (/^\d{1,6}$/.test(text) && Number(text) <= (max ?? Infinity)) return Number(text)
  const range = max === undefined ? '' : ` from 0 to ${max}`
  throw new TucanoError('usage', `${what} is a whole number${range}, not ${text}`)
}
