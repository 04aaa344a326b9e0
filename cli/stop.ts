// tucano stop: stops all instances of a service; it stays configured.

import { changeService, servicePath } from './change-service.ts'
import type { Command } from './command.ts'
import { waitOptions } from './follow.ts'

export const stop: Command = {
  name: 'stop',
  summary: 'Stop a service; it stays configured',
  words: 'SERVICE',
  options: waitOptions,
  async run(context) {
    const [service = ''] = context.words
    const path = servicePath(service, '/stop')
    return changeService(context, { service, method: 'POST', path, done: 'stopped' })
  },
}
