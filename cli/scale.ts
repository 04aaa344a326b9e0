// tucano scale: changes how many instances of a service run.

import { changeService, servicePath } from './change-service.ts'
import type { Command } from './command.ts'
import { waitOptions } from './follow.ts'
import { countOf } from './numbers.ts'

export const scale: Command = {
  name: 'scale',
  summary: 'Change how many instances of a service run',
  words: 'SERVICE COUNT',
  options: waitOptions,
  async run(context) {
    const [service = '', count = ''] = context.words
    const concurrency = countOf(count, 'COUNT')
    return changeService(context, {
      service,
      method: 'POST',
      path: servicePath(service, '/scale'),
      body: { concurrency },
      done: `${concurrency} running`,
    })
  },
}
