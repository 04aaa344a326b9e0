// tucano restart: replaces all instances of a service, with the secrets as they are now.

import { changeService, servicePath } from './change-service.ts'
import type { Command } from './command.ts'
import { waitOptions } from './follow.ts'

export const restart: Command = {
  name: 'restart',
  summary: 'Replace all instances of a service',
  words: 'SERVICE',
  options: waitOptions,
  details: `By the way of its update, as if it were another program: no request is lost
where that loses none. The instances get the secrets as they are now.`,
  async run(context) {
    const [service = ''] = context.words
    const path = servicePath(service, '/restart')
    return changeService(context, { service, method: 'POST', path, done: 'restarted' })
  },
}
