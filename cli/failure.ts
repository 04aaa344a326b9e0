// Says in words what went wrong and what to do next. Pure.

import { messageOf, TucanoError } from '#shared/errors.ts'
import { plain } from './table.ts'

/** Lines for standard error: the message, every problem with its place, the next step. */
export function failureText(error: unknown): string {
  if (!(error instanceof TucanoError)) {
    const stack = error instanceof Error ? error.stack : String(error)
    return `tucano: internal error: ${stack}`
  }
  const message = headOf(error)
  const isSaid = error.problems.length === 1 && message.includes(error.problems[0]?.what ?? '')
  const problems = isSaid ? [] : error.problems.map(({ where, what }) => `${where}: ${what}`)
  const next = nextStep(error)
  return [
    ...message.split('\n').map((line, at) => (at === 0 ? `tucano: ${plain(line)}` : line)),
    ...problems.map((line) => `  ${plain(line)}`),
    ...(next === undefined ? [] : [`next: ${next}`]),
  ].join('\n')
}

/** Messages name their first problem and count the others, which all follow here anyway. */
function headOf(error: TucanoError): string {
  const message = messageOf(error)
  const [first, second] = error.problems
  if (first === undefined || second === undefined) return message
  const at = message.indexOf(`${first.where}: ${first.what}`)
  return at > 0 ? message.slice(0, at).trimEnd() : message
}

function nextStep({ code, message }: TucanoError): string | undefined {
  switch (code) {
    case 'unauthenticated':
      return "check that --token-file is the controller's admin-token file"
    case 'forbidden':
      return 'administrators use the admin token, not that of the agents'
    case 'stale_version':
      return 'tucano config get --output FILE, repeat the change, tucano config put FILE'
    case 'already_running':
      return 'tucano stop SERVICE, or change update.strategy'
    case 'starting':
      return 'the controller has just been started; try again in a moment'
    case 'not_found':
      if (message.includes('tucano ')) return undefined // It says it itself.
      if (/service|instance/.test(message))
        return 'tucano services and tucano ps list what there is'
      return /node/.test(message) ? 'tucano nodes lists the workers' : undefined
    default:
      return undefined
  }
}
