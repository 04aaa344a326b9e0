// tucano scale: changes how many instances of a service run.

import { CONCURRENCY_MAX } from '#shared/service-schema.ts'
import { changeService, servicePath } from './change-service.ts'
import type { Command } from './command.ts'
import { waitOptions } from './follow.ts'
import { countOf } from './numbers.ts'

export const scale: Command = {
  name: 'scale',
  summary: 'Change how many instances of a service run',
  words: 'SERVICE COUNT',
  options: waitOptions,
  details: `COUNT is a whole number from 0 to ${CONCURRENCY_MAX}; 0 keeps the service, with no instance.`,
  async run(context) {
    const [service = '', count = ''] = context.words
    const concurrency = countOf(count, 'concurrency', CONCURRENCY_MAX)
    return changeService(context, {
      service,
      method: 'POST',
      path: servicePath(service, '/scale'),
      body: { concurrency },
      done: `${concurrency} running`,
    })
  },
}
