// tucano rm: stops a service and forgets it.

import { changeService, servicePath } from './change-service.ts'
import type { Command } from './command.ts'
import { waitOptions } from './follow.ts'

export const rm: Command = {
  name: 'rm',
  summary: 'Stop a service and forget it',
  words: 'SERVICE',
  options: waitOptions,
  async run(context) {
    const [service = ''] = context.words
    const path = servicePath(service)
    return changeService(context, { service, method: 'DELETE', path, done: 'removed' })
  },
}
