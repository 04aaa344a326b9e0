// tucano start: starts a service that was stopped.

import { changeService, servicePath } from './change-service.ts'
import type { Command } from './command.ts'
import { waitOptions } from './follow.ts'

export const start: Command = {
  name: 'start',
  summary: 'Start a stopped service',
  words: 'SERVICE',
  options: waitOptions,
  async run(context) {
    const [service = ''] = context.words
    const path = servicePath(service, '/start')
    return changeService(context, { service, method: 'POST', path, done: 'running' })
  },
}
