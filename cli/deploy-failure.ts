// Tells a deployment that failed so that its author can mend it: which instance, where, why, the
// last probe, the last lines of its output, and what to call next.

import type { Deployment } from '#shared/model.ts'
import type { ServiceDetail } from './answers.ts'
import { formerOf } from './revisions.ts'
import type { Screen } from './screen.ts'
import { plain, plainLine } from './table.ts'
import { shortIds } from './words.ts'

export function tellFailure(
  screen: Screen,
  deployment: Deployment,
  detail: ServiceDetail | undefined,
): void {
  const { service, failure, why } = deployment
  const head =
    deployment.state === 'superseded'
      ? `the deployment of ${service} did not finish: ${why}`
      : `the deployment of ${service} failed: ${why}`
  screen.note(screen.paintNote('bad', plain(head)))
  const former = formerOf(detail)
  if (former !== undefined) screen.note(`  ${former}`)
  if (failure === undefined) {
    screen.note(`next: tucano show ${service}`)
    return
  }
  const ids = [failure.instance, ...(detail?.instances ?? []).map(({ id }) => id)]
  const id = shortIds(ids)(failure.instance)
  screen.note(`  instance ${id} on ${failure.node}: ${plain(failure.error)}`)
  if (failure.exit_code !== undefined) screen.note(`  exit code: ${failure.exit_code}`)
  if (failure.exit_signal !== undefined) screen.note(`  ended by: ${failure.exit_signal}`)
  if (failure.last_probe !== undefined) {
    screen.note(`  last health check: ${plain(failure.last_probe)}`)
  }
  if (failure.log_tail !== undefined && failure.log_tail.length > 0) {
    screen.note('  last lines of its output:')
    for (const line of failure.log_tail) screen.note(`    | ${plainLine(line)}`)
  }
  screen.note(`next: tucano logs ${id}, or tucano show ${service}`)
}
