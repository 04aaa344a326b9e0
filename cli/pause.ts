// tucano pause: lets a service's requests wait in the balancer while something is done to it.

import { DURATION_PATTERN, durationMs, durationText } from '#shared/duration.ts'
import { TucanoError } from '#shared/errors.ts'
import { PAUSE_DEFAULT, PAUSE_MAX, PAUSE_MIN } from '#shared/traffic-control.ts'
import type { ServiceSummary } from './answers.ts'
import { servicePath } from './change-service.ts'
import type { Command, Flags } from './command.ts'

export const pause: Command = {
  name: 'pause',
  summary: 'Let the requests of a service wait',
  words: 'SERVICE',
  options: [
    {
      name: 'for',
      value: 'DURATION',
      summary: `how long at most, ${PAUSE_MIN} to ${PAUSE_MAX} (${PAUSE_DEFAULT})`,
    },
  ],
  details: `Requests wait in the balancer until: tucano resume SERVICE, or the time is
over; then they go on, none is lost. The instances run on. A pause of a paused
service makes it last longer. It outlives deploys and restarts.`,
  async run({ words: [service = ''], flags, screen, client }) {
    const text = durationOf(flags)
    const path = servicePath(service, '/pause')
    const summary = await (await client()).send<ServiceSummary>('POST', path, { for: text })
    if (screen.json) {
      screen.object(summary)
      return 0
    }
    screen.line(`${service}: paused for ${durationText(durationMs(text))}, its requests wait`)
    screen.line(`to end it before: tucano resume ${service}`)
    return 0
  },
}

function durationOf(flags: Flags): string {
  const text = flags.text('for') ?? PAUSE_DEFAULT
  if (DURATION_PATTERN.test(text)) {
    const ms = durationMs(text)
    if (ms >= durationMs(PAUSE_MIN) && ms <= durationMs(PAUSE_MAX)) return text
  }
  const range = `from ${PAUSE_MIN} to ${PAUSE_MAX}`
  throw new TucanoError(
    'usage',
    `--for is a duration ${range}, like 30s or 2m, not ${text}; ` +
      'for longer: tucano maintenance SERVICE',
  )
}
