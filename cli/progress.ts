// Tells what the instances of a deployment do while it is waited for: each step once, a failed
// try with its reason, and what waits for a place.

import { durationText } from '#shared/duration.ts'
import type { Instance } from '#shared/model.ts'
import type { Pending, ServiceDetail } from './answers.ts'
import { createInstanceTeller, isRetrying } from './instances.ts'
import type { Screen } from './screen.ts'
import { plain, plainLine } from './table.ts'
import { instanceState, shortIds } from './words.ts'

/** The last line of every Node that ends by an error that nobody caught. */
const NODE_SAYS = /^Node\.js v\d/
const ERROR = /^(?:Uncaught )?(?:[A-Z]\w*)?Error\b/

export function createProgress(screen: Screen): (detail: ServiceDetail) => void {
  const tell = createInstanceTeller()
  let waiting = ''
  let share: number | undefined
  return ({ service, instances, deployment, pending }) => {
    const short = shortIds(instances.map(({ id }) => id))
    for (const instance of tell(instances)) {
      for (const line of linesOf(screen, instance, short)) screen.note(line)
    }
    if (service.rollout !== undefined && service.rollout.percent !== share) {
      share = service.rollout.percent
      screen.note(`  the new revision gets ${share} % of the requests`)
    }
    const lines = pending.map((one) => `  ${waitsForPlace(one)}`)
    if (lines.length > 0 && lines.join() !== waiting) for (const line of lines) screen.note(line)
    waiting = lines.join()
    if (deployment?.state === 'superseded') screen.note('  a newer deployment took over')
  }
}

/** `waiting for a place: 1 of api: w1: has 2 of max_per_node 2`. */
export function waitsForPlace({ service, count, why }: Pending): string {
  return plain(`waiting for a place: ${count} of ${service}: ${why}`)
}

function linesOf(screen: Screen, instance: Instance, short: (id: string) => string): string[] {
  const seat = `  ${instance.node}  ${short(instance.id)}  `
  if (isRetrying(instance)) {
    const word = screen.paintNote('warn', 'failed')
    const error = plain(instance.failure?.error ?? instance.why)
    return [`${seat}${word}: ${error} (${triesText(instance)})`, ...lastWordOf(instance)]
  }
  const { text, tone } = instanceState(instance)
  const port = instance.state === 'started' ? `, port ${instance.port}` : ''
  const reason =
    instance.state === 'started' ? instance.why : (instance.failure?.error ?? instance.why)
  const isBad = tone === 'bad' || (tone === 'warn' && instance.state === 'started')
  const why = isBad ? `: ${plain(reason)}` : ''
  return [`${seat}${tone === undefined ? text : screen.paintNote(tone, text)}${port}${why}`]
}

/**
 * `try 1, again in 2 s`; both instants are of the controller's clock. Of how many is not said: a
 * deployment on trial is judged before an instance has used up its own.
 */
function triesText({ attempt, retryAt, changedAt, why }: Instance): string {
  if (retryAt === undefined) return `try ${attempt - 1}, the next one is under way`
  const counted = /^try \d+/.exec(why)?.[0] ?? `try ${attempt}`
  return `${counted}, again in ${durationText(Math.max(0, retryAt - changedAt))}`
}

/**
 * Of a program that ended the last line that it said; where it died of an error that it named, that
 * line instead, since Node goes on with a stack and its version. Else the last health check.
 */
function lastWordOf({ failure }: Instance): string[] {
  if (failure === undefined) return []
  const hasEnded = failure.exit_code !== undefined || failure.exit_signal !== undefined
  const lines = failure.log_tail ?? []
  const said = lines.findLast((one) => one.trim() !== '')
  const line = NODE_SAYS.test(said ?? '')
    ? (lines.findLast((one) => ERROR.test(one)) ?? said)
    : said
  const probe = failure.last_probe
  if (probe !== undefined && (!hasEnded || line === undefined)) {
    return [`      last health check: ${plain(probe)}`]
  }
  return line === undefined ? [] : [`      | ${plainLine(line)}`]
}
